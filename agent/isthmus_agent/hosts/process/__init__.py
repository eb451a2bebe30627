"""Code servers as processes of this machine."""
