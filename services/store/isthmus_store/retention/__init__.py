"""Removal of what is old: each function deletes a part, small enough that nobody waits for it."""
