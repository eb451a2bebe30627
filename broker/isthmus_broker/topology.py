"""What this system keeps at the broker, as values: `declaring` brings them there, everyone else attaches.

One virtual host, everything durable. See the table in docs/architecture.md for what each name carries.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from aio_pika.abc import ExchangeType
from isthmus_lifecycle.log import get_logger

log = get_logger(__name__)

INSTRUCTIONS = "isthmus.instructions"
TELEMETRY = "isthmus.telemetry"
#: Behind it: what agents say, by agent, and what is said in the name of none that has a place here.
TELEMETRY_AGENTS = "isthmus.telemetry.agents"
TELEMETRY_OTHERS = "isthmus.telemetry.others"
TELEMETRY_SHARDS = "isthmus.telemetry.shards"
ANSWERS = "isthmus.answers"
NOTICES = "isthmus.notices"
QUERIES = "isthmus.queries"
QUERY_ANSWERS = "isthmus.query-answers"
UNROUTABLE = "isthmus.unroutable"
#: The exchange of dead letters, and the queue in which they wait.
DEAD = "isthmus.dead"

#: What deployments, agents and locations may be called: they are single words of routing keys.
NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")

#: How often an instruction may be delivered before it counts as poison. A crash of an agent counts once for each
#: message that it had prefetched, so this is well above what one bad night brings.
INSTRUCTION_DELIVERY_LIMIT = 20
#: How many instructions may wait for one agent before the control plane is refused and keeps them in its outbox.
INSTRUCTION_MAX_LENGTH = 50_000
#: Telemetry is never poison by count: a monitor that crashes again and again must find everything when it is mended.
TELEMETRY_DELIVERY_LIMIT = 1_000_000_000
#: How many dead letters may wait for the control plane, and how many bytes of them; beyond it they stay where they died.
DEAD_LETTERS_MAX_LENGTH = 50_000
DEAD_LETTERS_MAX_BYTES = 512 * 1024**2
#: A dead letter has nowhere else to go: it is not poison by count, and waits for a database however long that is away.
DEAD_LETTERS_DELIVERY_LIMIT = 1_000_000_000
#: How much telemetry of one agent may wait for the monitor, bytes; beyond it this agent is refused, and spools.
AGENT_TELEMETRY_MAX_BYTES = 1024**3
#: How much may wait that is said in the name of no agent that has a queue, bytes per shard.
TELEMETRY_MAX_BYTES = 2 * 1024**3
#: How long a query or an answer may lie in its queue, ms: longer than any asker waits, each message has its own time.
QUERY_TTL_MS = 120_000
#: How many queries may wait for the control planes; beyond it agents are refused, and say so at once.
QUERY_MAX_LENGTH = 20_000
#: How many answers may wait for one agent; beyond it the oldest go, whose askers have given up first.
QUERY_ANSWER_MAX_LENGTH = 20_000


class TelemetryKind(StrEnum):
    """The last word of a telemetry message's routing key."""

    RUN = "run"
    LOCATION = "location"
    HEARTBEAT = "heartbeat"
    RESULT = "result"


@dataclass(frozen=True)
class Exchange:
    """An exchange to declare."""

    name: str
    type: str
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Queue:
    """A durable queue to declare."""

    name: str
    arguments: dict[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Binding:
    """From an exchange to a queue, or to another exchange."""

    source: str
    destination: str
    routing_key: str
    to_exchange: bool = False


@dataclass(frozen=True)
class Topology:
    """A set of things to declare, in the order of its fields."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()
    #: What an earlier release bound otherwise; undone once everything else is there, so that nothing goes nowhere meanwhile.
    former_bindings: tuple[Binding, ...] = ()


def is_valid_name(name: str) -> bool:
    """Tell whether a deployment, agent or location may bear this name."""
    return NAME_PATTERN.fullmatch(name) is not None


def instruction_queue(deployment: str, agent: str, *, is_control: bool = False) -> str:
    """Return the name of an agent's queue for work, or of the one that a stop never waits in behind a launch."""
    return f"isthmus.agent.{deployment}.{agent}" + (".control" if is_control else "")


def telemetry_key(deployment: str, agent: str, kind: TelemetryKind) -> str:
    """Return the routing key of an agent's telemetry."""
    return f"{deployment}.{agent}.{kind}"


def answer_key(deployment: str, agent: str, reply_to: str) -> str:
    """Return the routing key of an agent's answer to one asker."""
    return f"{deployment}.{agent}.{reply_to}"


def query_answer_queue(deployment: str, agent: str) -> str:
    """Return the name of the queue in which answers to an agent's instance queries come."""
    return f"isthmus.agent.{deployment}.{agent}.answers"


def monitor_queue(shard: int) -> str:
    """Return the name of one of the monitor's queues."""
    return f"isthmus.monitor.{shard}"


def agent_telemetry_queue(deployment: str, agent: str) -> str:
    """Return the name of the queue in which what one agent says waits for the monitor."""
    return f"isthmus.monitor.{deployment}.{agent}"


def system_topology(*, monitor_shards: int) -> Topology:
    """Return what every deployment shares.

    What an agent says goes into a queue of its own. What is said in the name of an agent that has none goes into the queue of
    a shard: with one shard directly; with more, a consistent hash over the header `agent` keeps it in order.
    """
    unroutable = {"alternate-exchange": UNROUTABLE}
    exchanges = [
        Exchange(UNROUTABLE, ExchangeType.FANOUT),
        Exchange(DEAD, ExchangeType.FANOUT),
        Exchange(INSTRUCTIONS, ExchangeType.DIRECT, unroutable),
        Exchange(TELEMETRY, ExchangeType.TOPIC, unroutable),
        Exchange(TELEMETRY_OTHERS, ExchangeType.FANOUT, unroutable),
        Exchange(TELEMETRY_AGENTS, ExchangeType.TOPIC, {"alternate-exchange": TELEMETRY_OTHERS}),
        # An answer whose asker hung up goes nowhere, and that is right.
        Exchange(ANSWERS, ExchangeType.TOPIC),
        Exchange(NOTICES, ExchangeType.FANOUT),
        Exchange(QUERIES, ExchangeType.FANOUT),
        # The same holds for an answer to a query.
        Exchange(QUERY_ANSWERS, ExchangeType.DIRECT),
    ]
    shards = [_telemetry_queue(monitor_queue(shard), max_bytes=TELEMETRY_MAX_BYTES) for shard in range(monitor_shards)]
    queues = [dead_letter_queue(), _query_queue(), *shards]
    bindings = [Binding(UNROUTABLE, DEAD, ""), Binding(DEAD, DEAD, ""), Binding(QUERIES, QUERIES, "")]
    if monitor_shards == 1:
        bindings.append(Binding(TELEMETRY_OTHERS, monitor_queue(0), ""))
        former = Binding(TELEMETRY, monitor_queue(0), "#")
    else:
        exchanges.append(Exchange(TELEMETRY_SHARDS, "x-consistent-hash", {"hash-header": "agent"}))
        bindings.append(Binding(TELEMETRY_OTHERS, TELEMETRY_SHARDS, "", to_exchange=True))
        # The routing key of such a binding is its weight.
        bindings += [Binding(TELEMETRY_SHARDS, monitor_queue(shard), "10") for shard in range(monitor_shards)]
        former = Binding(TELEMETRY, TELEMETRY_SHARDS, "#", to_exchange=True)
    bindings.append(Binding(TELEMETRY, TELEMETRY_AGENTS, "#", to_exchange=True))
    return Topology(tuple(exchanges), tuple(queues), tuple(bindings), (former,))


def agent_topology(deployment: str, agent: str) -> Topology:
    """Return an agent's own queues."""
    names = [instruction_queue(deployment, agent, is_control=is_control) for is_control in (False, True)]
    answers, telemetry = query_answer_queue(deployment, agent), agent_telemetry_queue(deployment, agent)
    return Topology(
        queues=(
            *(_instruction_queue(name) for name in names),
            _query_answer_queue(answers),
            _telemetry_queue(telemetry, max_bytes=AGENT_TELEMETRY_MAX_BYTES),
        ),
        bindings=(
            *(Binding(INSTRUCTIONS, name, name) for name in names),
            Binding(QUERY_ANSWERS, answers, answers),
            Binding(TELEMETRY_AGENTS, telemetry, f"{deployment}.{agent}.*"),
        ),
    )


def _dead_lettering() -> dict[str, str | int | bool]:
    # At-least-once dead-lettering needs all of: a quorum queue, this strategy, reject-publish, and the exchange.
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _instruction_queue(name: str) -> Queue:
    limits = {"x-delivery-limit": INSTRUCTION_DELIVERY_LIMIT, "x-max-length": INSTRUCTION_MAX_LENGTH}
    return Queue(name, {**_dead_lettering(), **limits})


def _telemetry_queue(name: str, *, max_bytes: int) -> Queue:
    limits = {
        "x-delivery-limit": TELEMETRY_DELIVERY_LIMIT,
        "x-max-length-bytes": max_bytes,
        "x-single-active-consumer": True,
    }
    return Queue(name, {**_dead_lettering(), **limits})


def dead_letter_queue() -> Queue:
    """Return the queue in which dead letters wait."""
    arguments: dict[str, str | int | bool] = {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-delivery-limit": DEAD_LETTERS_DELIVERY_LIMIT,
        "x-max-length": DEAD_LETTERS_MAX_LENGTH,
        "x-max-length-bytes": DEAD_LETTERS_MAX_BYTES,
    }
    return Queue(DEAD, arguments)


def _query_queue() -> Queue:
    limits = {"x-message-ttl": QUERY_TTL_MS, "x-max-length": QUERY_MAX_LENGTH}
    return Queue(QUERIES, {"x-queue-type": "classic", "x-overflow": "reject-publish", **limits})


def _query_answer_queue(name: str) -> Queue:
    limits = {"x-message-ttl": QUERY_TTL_MS, "x-max-length": QUERY_ANSWER_MAX_LENGTH}
    return Queue(name, {"x-queue-type": "classic", **limits})
