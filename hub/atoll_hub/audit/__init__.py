"""Keep every decision of the hub in a chain that shows any change."""
