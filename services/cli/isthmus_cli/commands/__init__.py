"""One module per group of commands: what a person types, and which question to the control plane it is."""
