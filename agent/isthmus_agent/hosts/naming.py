"""Names of code servers: made from what they serve, so that a restarted agent recognises its own."""

import hashlib
import json
from dataclasses import asdict

from isthmus_agent.hosts.host import ServerSpec

_DIGEST_CHARS = 12


def server_name(spec: ServerSpec) -> str:
    """Return the one name of servers started from this spec.

    All that a running server was given goes in: one that was started with another broker address, say, is another
    server, and is replaced instead of adopted.
    """
    name = f"{spec.location}-g{spec.generation}-{spec_hash(spec)}"
    return f"{name}-{spec.slot}" if spec.slot else name


def spec_hash(spec: ServerSpec) -> str:
    """Return a short digest of the spec; secrets cannot be read back from it."""
    facts = [
        spec.deployment,
        spec.agent,
        spec.location,
        spec.generation,
        {name: str(value) for name, value in asdict(spec.source).items()},
        str(spec.runs_dir),
        spec.broker_url,
        sorted(spec.env.items()),
        spec.heartbeat_interval_s,
        spec.cancel_grace_s,
        spec.slot,
        asdict(spec.container),
    ]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:_DIGEST_CHARS]
