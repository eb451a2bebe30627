"""Runs that take longer than they may, to begin, to end, or in all: they are ended, and only then it is said."""
