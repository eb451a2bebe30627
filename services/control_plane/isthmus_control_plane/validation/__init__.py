"""Requests in, faults out: pure, and complete (every fault of a request is told at once)."""
