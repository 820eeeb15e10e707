"""Hold projects, and the permits as the sites state them."""
