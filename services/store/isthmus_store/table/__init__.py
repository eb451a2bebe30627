"""The tables, as the newest migration leaves them, one module per subject."""
