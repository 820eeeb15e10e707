"""Take persons out of everything that the node holds, and prove it without naming them."""
