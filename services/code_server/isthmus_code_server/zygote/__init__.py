"""The process that has the definitions imported and forks a child for everything that is asked of them.

It starts no thread, no event loop, no gRPC and no AMQP, and its children only what user code starts: a fork copies one
thread, so whatever locks the others held would stay locked for ever. A few children wait, forked ahead of their runs: the
zygote forks them when it is idle and hands them the channel of the next request.
"""
