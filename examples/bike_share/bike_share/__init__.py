"""A bike-share network: stations, trips, weather, and what they say about each other."""
