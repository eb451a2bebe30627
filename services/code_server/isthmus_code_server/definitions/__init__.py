"""A project's definitions behind one port, and the adapters that implement it."""
