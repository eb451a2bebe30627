"""Removal of what is old, by the one control plane that leads it."""
