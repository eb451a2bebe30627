"""A module that has the same name in both locations."""

PLACES = ["porto"]
