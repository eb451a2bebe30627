"""Dedicated code servers: where a run executes, and the servers of a location that each take one run."""
