"""Agents: as a list, and one whole."""

from collections.abc import Iterable

from isthmus.v1.control_plane_pb2 import Agent, AgentState

from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, table
from isthmus_cli.view.text import age_text, brief_age, columns, moment_text

_AGENTS = (
    Column("AGENT"),
    Column("STATE"),
    Column("POOL"),
    Column("RUNS"),
    Column("LOCATIONS", least=12),
    Column("HEARD"),
    Column("VERSION", is_extra=True),
)


def agent_table(agents: Iterable[Agent], *, paint: Paint, room: Room) -> list[str]:
    """List agents, one per line."""
    rows = [
        (
            agent.name,
            paint.agent_state(agent.state),
            agent.pool or "default",
            str(len(agent.active_runs)),
            ", ".join(report.location for report in agent.locations) or "-",
            brief_age(agent.last_heard_at),
            agent.version or "-",
        )
        for agent in agents
    ]
    return table(_AGENTS, rows, room=room)


def agent_lines(agent: Agent, *, paint: Paint) -> list[str]:
    """Tell one agent whole."""
    facts = [
        ("agent", paint.bold(agent.name)),
        ("state", paint.agent_state(agent.state)),
        ("pool", agent.pool or "default"),
        ("queue", agent.queue),
        ("version", agent.version),
        ("created", moment_text(agent.created_at)),
        ("started", moment_text(agent.started_at) if agent.HasField("started_at") else ""),
        ("heard", age_text(agent.last_heard_at)),
    ]
    lines = [f"{paint.dim(f'{name:10}')}{value}" for name, value in facts if value]
    if agent.locations:
        rows = [
            (r.location, paint.phase(r.phase), str(r.generation), str(r.serving_generation)) for r in agent.locations
        ]
        lines += ["", *columns(("LOCATION", "PHASE", "GENERATION", "SERVING"), rows)]
    if agent.active_runs:
        lines += ["", *columns(("RUN", "ATTEMPT"), [(run.run_id, str(run.attempt)) for run in agent.active_runs])]
    return lines


def creation_lines(agent: Agent, *, paint: Paint) -> list[str]:
    """Tell that an agent's place is there, and how to start the agent."""
    lines = [f"{paint.green('✓')} agent {paint.bold(agent.name)} has its place: queue {agent.queue}"]
    if agent.state in (AgentState.AGENT_STATE_NEW, AgentState.AGENT_STATE_STOPPED, AgentState.AGENT_STATE_LOST):
        start = f"ISTHMUS_AGENT_NAME={agent.name} ISTHMUS_AGENT_DEPLOYMENT={agent.deployment} isthmus-agent"
        lines += ["Start it where the code and the data are, with ISTHMUS_BROKER_URL set:", f"  {paint.cyan(start)}"]
    return lines
