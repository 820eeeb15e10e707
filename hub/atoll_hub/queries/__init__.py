"""Route queries to sites and merge what they let go."""
