"""What is there for a project besides its code."""
