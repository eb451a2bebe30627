"""Where definitions come from, and what of Dagster is imported late."""
