"""Dagster itself, in an environment of its own (`.venv-peer`), with its own servers."""
