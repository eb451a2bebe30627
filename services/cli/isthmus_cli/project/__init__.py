"""Finds the code locations of a Dagster project where `dagster dev` and `dg dev` find them."""
