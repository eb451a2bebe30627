"""The control plane's API over HTTP and JSON, in the Connect protocol: https://connectrpc.com/docs/protocol."""
