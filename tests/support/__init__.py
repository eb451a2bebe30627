"""What tests lean on: real servers, a network that can be cut, and the one way to wait."""
