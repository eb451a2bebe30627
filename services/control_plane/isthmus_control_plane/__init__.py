"""The control plane: gRPC API, placement, run queue and instruction outbox.

Order of reading: `facts`, then the pure decisions (`placement`, `queue`, `sync`, `expiry`, `validation`), then what
carries them out (`desk` for calls, `reconcile`, `outbox`, `questions`, `dead_letters`), then `api`, and `service`,
which puts all together.
"""
