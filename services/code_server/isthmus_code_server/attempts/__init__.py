"""What a run's process and its supervisor both know of an attempt: its files, its signs, how it ended."""
