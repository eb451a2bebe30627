"""A year of times, as Dagster has them."""
