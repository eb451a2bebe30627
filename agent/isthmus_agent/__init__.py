"""The agent: consumes instructions and keeps code servers, next to the user's data."""

__version__ = "0.1.0"
