"""Schedules and sensors, evaluated."""
