"""Know the people of the consortium, their roles and their tokens."""
