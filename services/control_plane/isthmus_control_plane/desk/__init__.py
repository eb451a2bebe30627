"""What the API's calls do: requests in, records out, one module per kind of thing."""
