"""Where code servers run: one contract, and an implementation for each kind of place."""
