"""Code servers in the agent's hands: what they are made from, the one way to start and to end one, and how each fares."""
