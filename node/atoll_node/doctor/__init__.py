"""Examine a node and all it leans on, and tell each fault with its fix."""
