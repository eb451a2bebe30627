"""Deployments for branches of the code."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """A branch deployment as it stands."""

    #: The deployment that it is itself.
    deployment: str
    #: The deployment whose agents serve it, and its name there.
    parent: str
    name: str
    #: The agents of this pool serve it; empty for all of the parent's.
    pool: str
    #: A CodeVersion message, or None.
    code_version: bytes | None
    created_by: str
    created_at: datetime
    #: When it is deleted by itself; None for never.
    expires_at: datetime | None
    #: Since when it is being deleted; None while it is not.
    deleting_at: datetime | None = None
    deleted_by: str = ""
    #: Since when its agents are to let go of it; None while runs may live in it.
    released_at: datetime | None = None
