"""Commands to agents: written as rows, carried to the broker, and ended when their result does not come."""
