"""The assets of a deployment over all its locations, and how they fare."""
