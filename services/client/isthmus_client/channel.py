"""How the channel to the control plane behaves: sizes, retries of a call, the pause before a new connection."""

import json

#: Bytes of one message: a location's snapshot may be large.
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# Each call may be repeated: a launch carries its run id from the first try on.
_SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "isthmus.v1.ControlPlane"}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            },
        ],
    },
)
CHANNEL_OPTIONS = (
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
