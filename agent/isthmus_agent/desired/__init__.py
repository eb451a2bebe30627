"""What is wanted, as frozen facts: read from the contract's messages once, at the edge."""
