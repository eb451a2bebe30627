"""What a code server is told at its start, in the form that it reads."""

from google.protobuf import json_format
from isthmus.v1 import code_server_pb2 as code_server

from isthmus_agent.hosts.host import ServerSpec

CONFIG_FILE = "config.json"


def config_text(spec: ServerSpec, *, server: str, address: str, runs_dir: str) -> str:
    """Return the server's configuration as JSON; with the broker's password, so for its reader alone.

    Args:
        spec: what the server is started from.
        server: its name.
        address: where it is to listen, as a gRPC target.
        runs_dir: where attempts lie, as the server sees it.
    """
    config = code_server.CodeServerConfig(
        deployment=spec.deployment,
        agent=spec.agent,
        location=spec.location,
        generation=spec.generation,
        server=server,
        source=spec.source.to_proto(),
        listen=address,
        broker_url=spec.broker_url,
        runs_dir=runs_dir,
        heartbeat_interval_s=spec.heartbeat_interval_s,
        cancel_grace_s=spec.cancel_grace_s,
        takes_one_run=spec.is_dedicated,
    )
    return json_format.MessageToJson(config)
