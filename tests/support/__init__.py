"""Real parts and data that tests start and read."""
