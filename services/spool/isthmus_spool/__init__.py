"""What a run leaves on disk until the broker has confirmed it: attempt folders, journals, output."""
