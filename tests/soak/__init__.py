"""A year of a busy team in minutes: the real control plane, monitor and store, with another clock."""
