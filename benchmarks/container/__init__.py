"""Runs in containers of their own, beside Dagster's launcher of containers."""
