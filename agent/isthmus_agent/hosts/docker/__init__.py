"""Code servers as containers of a Docker engine."""
