"""What the agent has taken from the broker and not answered yet, on disk."""
