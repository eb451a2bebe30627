"""The gRPC service: requests in, the supervisor's answers out."""
