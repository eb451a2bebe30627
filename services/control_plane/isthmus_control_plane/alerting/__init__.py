"""Alerts: what policies take in, gather and tell."""
