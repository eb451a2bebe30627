"""The control plane: gRPC API, placement, run queue and instruction outbox.

Order of reading: `key` and `core`, then the subjects, of which each may know those before it: `commands` to agents, the
`fleet` that they go to, and `dispatching`, which brings runs there. In each the pure decisions come first (`expiry`;
`placement`, `sync`; `queue`), then what carries them out. On the subjects stand the doors: `desk` and `api` for callers,
`instance` for user code. `assembly`, `loops` and `service` put all together.
"""
