"""Agents and locations: which agent holds which location, and what each agent must be told of it."""
