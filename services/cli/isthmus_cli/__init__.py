"""The `isthmus` command and the Python client for internal tooling."""
