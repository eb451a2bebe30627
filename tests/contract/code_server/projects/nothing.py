"""A module with nothing to load."""
