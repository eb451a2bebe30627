"""What Linux is asked for about processes."""
