#!/bin/sh
# The server reads RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS by itself; nothing is left to do.
exec "$@"
