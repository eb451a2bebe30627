"""The gRPC edge: messages in and out, errors as rich statuses."""
