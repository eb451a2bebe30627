"""The agent's part in instance queries: it passes on what user code asks, and hands back what the control plane says."""
