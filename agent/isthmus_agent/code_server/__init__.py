"""Calls to code servers."""
