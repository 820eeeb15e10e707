"""Know the sites and their nodes: invite, enrol, authenticate, see who is there."""
