"""How messages of the contract read on a terminal: pure functions from a message to lines."""
