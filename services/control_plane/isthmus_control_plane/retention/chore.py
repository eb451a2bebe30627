"""What is removed, kind by kind: each chore removes all of its kind that is old, and returns how many went."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from isthmus_store import alert_book, asset_wipes, backfills, evaluations, instigators, run_keys, ticks
from isthmus_store.retention import others, outliving, runs
from isthmus_store.snapshot_pieces import KEPT

from isthmus_control_plane.retention.work import Work

#: Runs, or rows that outlived theirs, that one look takes in.
_LOOK: Final = 500

Chore = Callable[[Work], Awaitable[int]]


async def remove_runs(work: Work) -> int:
    """Remove runs that ended long ago: as many small ones together as the pace allows, or one large one bit by bit."""
    before, removed = work.rules.runs_ended_before, 0
    if before is None:
        return 0
    while not work.stopping.is_set():  # pauses: each part leaves the writer to others for a while
        async with work.database.read() as tx:
            due = await runs.due(tx, ended_before=before, limit=_LOOK)
        if not due:
            return removed
        while due and not work.stopping.is_set():
            fitting = work.pace.fitting(due)
            if not fitting:
                break
            async with work.part(weight=sum(it.weight for it in fitting)) as tx:
                removed += await runs.remove(tx, [it.run_id for it in fitting], ended_before=before)
            due = due[len(fitting) :]
        if due and not work.stopping.is_set():
            await _remove_large(work, due[0].run_id, before=before)
            removed += 1
    return removed


async def _remove_large(work: Work, run_id: str, *, before: datetime) -> None:
    has_more = True
    while has_more and not work.stopping.is_set():
        rows = work.pace.budget
        async with work.part(weight=rows) as tx:
            has_more = await runs.remove_part(tx, run_id, ended_before=before, rows=rows)
    await finish_runs(work)


async def finish_runs(work: Work) -> int:
    """Remove the events of large runs that are gone."""
    finished = 0
    while not work.stopping.is_set():  # pauses: each part leaves the writer to others for a while
        weight = work.pace.budget
        async with work.database.read() as tx:
            run_id = await runs.half_removed(tx)
            up_to = await runs.events_up_to(tx, run_id, weight=weight) if run_id else 0
        if run_id is None:
            return finished
        async with work.part(weight=weight) as tx:
            await runs.remove_events(tx, run_id, up_to=up_to)
        finished += up_to == 0
    return finished


async def remove_superseded(work: Work) -> int:
    """Remove rows of the index that outlived their run, and that a newer one replaced."""
    after_id: int | None = 0
    removed = 0
    while after_id is not None and not work.stopping.is_set():
        async with work.database.read() as tx:
            look = await outliving.look(tx, after_id=after_id, rows=_LOOK)
        superseded = look.superseded
        while superseded and not work.stopping.is_set():
            part, superseded = superseded[: work.pace.budget], superseded[work.pace.budget :]
            async with work.part(weight=len(part)) as tx:
                await outliving.remove_superseded(tx, part)
            removed += len(part)
        after_id = look.ended_at
    return removed


async def remove_instructions(work: Work) -> int:
    """Remove commands that were settled long ago."""
    before = work.rules.instructions_settled_before
    if before is None:
        return 0
    find = partial(others.old_instructions, settled_before=before)
    return await work.clear(find=find, remove=others.remove_instructions)


async def remove_alerts(work: Work) -> int:
    """Remove old alerts that nobody waits for, and what policies took in as long ago."""
    before = work.rules.alerts_created_before
    if before is None:
        return 0
    removed = await work.clear(find=partial(others.old_alerts, created_before=before), remove=others.remove_alerts)
    find = partial(alert_book.old_facts, taken_before=before)
    return removed + await work.clear(find=find, remove=alert_book.remove_facts)


async def remove_dead_letters(work: Work) -> int:
    """Remove old dead letters, and those that are too many."""
    rules = work.rules
    find = partial(others.old_dead_letters, received_before=rules.dead_letters_received_before, most=rules.dead_letters)
    return await work.clear(find=find, remove=others.remove_dead_letters)


async def remove_generations(work: Work) -> int:
    """Remove generations of locations that nobody will roll back to."""
    newest = work.rules.generations
    if not newest:
        return 0
    return await work.clear(find=partial(others.old_generations, newest=newest), remove=others.remove_generations)


async def remove_snapshots(work: Work) -> int:
    """Remove snapshots that nothing refers to, and did not for some time."""
    before = work.rules.snapshots_idle_before
    if before is None:
        return 0
    await work.clear(find=others.used_again, remove=others.forget_idle)
    await work.clear(find=others.newly_idle, remove=partial(others.note_idle, at=work.rules.at))
    return await work.clear(
        find=partial(others.old_snapshots, idle_before=before), remove=others.remove_snapshots, at_once=1
    )


async def remove_pieces(work: Work) -> int:
    """Remove pieces of snapshots that were never sent whole, or that were removed."""
    before = work.rules.at - KEPT
    find = partial(others.left_pieces, stored_before=before)
    return await work.clear(find=find, remove=partial(others.remove_pieces, stored_before=before), at_once=1)


async def remove_ticks(work: Work) -> int:
    """Remove ticks that ended long ago, and forget schedules and sensors that left the code before that."""
    ended, skipped = work.rules.ticks_ended_before, work.rules.ticks_skipped_before
    find = partial(ticks.old, ended_before=ended, skipped_before=skipped)
    removed = await work.clear(find=find, remove=ticks.remove)
    if ended is not None:
        await work.clear(find=partial(instigators.removable, gone_before=ended), remove=instigators.remove)
    return removed


async def remove_run_keys(work: Work) -> int:
    """Forget the run keys that no sensor asked for in a long time."""
    before = work.rules.run_keys_asked_before
    if before is None:
        return 0
    return await work.clear(find=partial(run_keys.old, asked_before=before), remove=run_keys.remove)


async def remove_evaluations(work: Work) -> int:
    """Remove what conditions came to long ago, and conditions that nothing is known of any more."""
    before = work.rules.evaluations_made_before
    if before is None:
        return 0
    removed = await work.clear(find=partial(evaluations.old, before=before), remove=evaluations.remove)
    if removed:
        await work.clear(find=evaluations.unused_trees, remove=evaluations.remove_trees)
    return removed


async def remove_backfills(work: Work) -> int:
    """Remove backfills that ended long ago, after the many rows of what came of their partitions."""
    before = work.rules.backfills_ended_before
    if before is None:
        return 0
    await work.clear(find=partial(backfills.old_runs, ended_before=before), remove=backfills.remove_runs)
    return await work.clear(find=partial(backfills.old, ended_before=before), remove=backfills.remove)


async def remove_wipes(work: Work) -> int:
    """Forget who wiped assets long ago."""
    before = work.rules.wiped_before
    if before is None:
        return 0
    return await work.clear(find=partial(asset_wipes.old, before=before), remove=asset_wipes.remove)


#: In this order. Runs first, since most of what grows is theirs.
CHORES: Final[Mapping[str, Chore]] = {
    "half_removed_runs": finish_runs,
    "runs": remove_runs,
    "superseded_events": remove_superseded,
    "instructions": remove_instructions,
    "alerts": remove_alerts,
    "dead_letters": remove_dead_letters,
    "generations": remove_generations,
    "snapshots": remove_snapshots,
    "snapshot_pieces": remove_pieces,
    "ticks": remove_ticks,
    "sensor_run_keys": remove_run_keys,
    "asset_evaluations": remove_evaluations,
    "backfills": remove_backfills,
    "asset_wipes": remove_wipes,
}
