"""Hold what the sites say they offer, and search it."""
