"""Deployments for branches of the code: who serves them, and how they go."""
