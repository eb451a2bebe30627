"""Whether the dynamic partitions that a request names are there: they are kept in the store, not in the definitions."""

from isthmus.v1 import control_plane_pb2 as api
from isthmus_store import dynamic_partitions
from isthmus_store.transaction import Transaction

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation.definition import Definitions
from isthmus_control_plane.validation.launch import dynamic_keys
from isthmus_control_plane.validation.suggestion import unknown


async def unknown_keys(
    tx: Transaction, request: api.LaunchRunRequest, *, deployment: str, definitions: Definitions
) -> list[Violation]:
    """List the keys of dynamic partitions that nobody has added."""
    violations = []
    for name, key in dynamic_keys(request, definitions=definitions).items():
        if await dynamic_partitions.keys(tx, deployment=deployment, name=name, among=[key]):
            continue
        known = await dynamic_partitions.keys(tx, deployment=deployment, name=name)
        text = (
            f"{unknown(f'partition of {name!r}', name=key, known=known)}; user code adds one (add_dynamic_partitions)"
        )
        violations.append(Violation("partition_key", text))
    return violations
