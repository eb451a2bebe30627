"""Branch deployments, in words."""

from collections.abc import Iterable

from isthmus.v1.control_plane_pb2 import Branch

from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, table
from isthmus_cli.view.text import age_text, count_text, moment_text

_BRANCHES = (
    Column("BRANCH"),
    Column("STATE", least=8),
    Column("AGENTS", least=8),
    Column("RUNS"),
    Column("COMMIT", least=8),
    Column("CREATED", may_go=True),
    Column("EXPIRES"),
    Column("BY", may_go=True),
    Column("DEPLOYMENT", is_extra=True),
    Column("URL", is_extra=True),
)
#: So many characters of a commit tell it from others for a person.
_SHORT = 12


def branch_table(branches: Iterable[Branch], *, paint: Paint, room: Room) -> list[str]:
    """List branch deployments, one per line."""
    rows = [
        (
            paint.bold(it.name),
            _state(it, paint=paint),
            ", ".join(it.agents) or "-",
            str(it.active_runs),
            it.code_version.commit if room.is_wide else it.code_version.commit[:_SHORT] or "-",
            age_text(it.created_at),
            moment_text(it.expires_at) if it.HasField("expires_at") else "never",
            it.created_by or "-",
            it.deployment,
            it.code_version.url,
        )
        for it in branches
    ]
    return table(_BRANCHES, rows, room=room)


def branch_lines(branch: Branch, *, paint: Paint) -> list[str]:
    """Tell of one branch deployment."""
    version, by = branch.code_version, f" by {branch.created_by}" if branch.created_by else ""
    facts = {
        "deployment": branch.deployment,
        "state": _state(branch, paint=paint),
        "waits for": branch.waits_for,
        "agents": ", ".join(branch.agents) or "none yet",
        "pool": branch.pool,
        "runs": count_text(branch.active_runs, "run") if branch.active_runs else "none under way",
        "commit": version.commit,
        "branch": version.branch,
        "what": version.message,
        "url": version.url,
        "created": f"{moment_text(branch.created_at)}{by}",
        "expires": moment_text(branch.expires_at) if branch.HasField("expires_at") else "never",
    }
    return [paint.bold(branch.name), *(f"  {name:<11}{value}" for name, value in facts.items() if value)]


def _state(branch: Branch, *, paint: Paint) -> str:
    if branch.HasField("deleting_at"):
        by = f" by {branch.deleted_by}" if branch.deleted_by else ""
        return paint.yellow(f"being deleted{by}")
    return paint.green("served") if branch.agents else paint.dim("waits for agents")
