"""The assets, from what comes in to what is read."""
