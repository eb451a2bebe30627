"""Runs on their way to an agent: accepted, queued, and dispatched when their turn comes."""
