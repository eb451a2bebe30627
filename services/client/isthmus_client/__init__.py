"""The Python client of the control plane: typed calls, deadlines, errors, and streams that outlive a broken connection."""
