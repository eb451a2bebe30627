"""The code server: loads a project's definitions, answers gRPC for them and launches their runs."""
