"""Runs: what is requested, planned and executed, and what is told of it."""
