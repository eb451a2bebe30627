"""Loads a location anew when the project's files change."""
