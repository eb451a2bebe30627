"""Answers what user code asks of its instance: runs, schedules and sensors ask, the store knows."""
