"""The Dagster adapter: the only rooms of the code server that import dagster."""
