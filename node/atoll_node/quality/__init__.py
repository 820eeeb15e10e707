"""Say how good a release's data are, without a figure about anybody."""
