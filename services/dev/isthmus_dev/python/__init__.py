"""The Python of the user's project: found as the user would activate it, and given the code server where it has none."""
