"""The process that has the definitions imported and forks a child for everything that is asked of them.

It starts no thread, no event loop, no gRPC and no AMQP, and its children only what user code starts: a fork copies one
thread, so whatever locks the others held would stay locked for ever. Children that wait, forked ahead of their runs,
belong here too: `Zygote` would fork them when it is idle and hand them the channel of the next request.
"""
