"""Ends the earlier attempts of a run on this agent before a later one begins."""

from typing import Final

from isthmus_spool.attempt_folder import FENCE_REACH

from isthmus_agent.instructions.tools import RunTools
from isthmus_agent.run_key import RunKey

#: How long a code server may take to end an attempt, beyond the grace that it has, seconds.
_MARGIN_S: Final = 30.0


async def end_earlier(tools: RunTools, key: RunKey) -> None:
    """Keep the attempts before this one from beginning here, and end one that lives.

    Whoever launches an attempt has given up those before it; the launch of one of them may have come here all the same, as
    when it was given back by a process that was the agent before.

    Raises:
        AgentError: An earlier attempt lives, and its server did not end it. Ask again.
        OSError: The agent's folder takes no more files.
    """
    if key.attempt <= 1:
        return
    async with tools.locks.holding(key.run_id):
        for attempt in range(max(1, key.attempt - FENCE_REACH), key.attempt):
            await _end(tools, RunKey(key.run_id, attempt))


async def _end(tools: RunTools, earlier: RunKey) -> None:
    if not tools.tombstones.has(earlier):
        tools.tombstones.add(earlier, not_before=0.0)
    tools.waiting.end(earlier)
    holding = tools.ledger.get(earlier)
    held = tools.registry.find(holding.incarnation) if holding is not None else None
    if held is None:
        return
    tools.ledger.mark_cancel_requested(earlier)
    with held.in_use() as client:
        await client.cancel_run(earlier, grace_s=0.0, timeout_s=tools.cancel_grace_s + _MARGIN_S)
