"""The lease of what one control plane alone does, as its holder sees it."""

from pathlib import Path

from isthmus_control_plane.leadership.leader import Leadership
from isthmus_store.database import Database


async def test_who_could_not_tell_for_a_while_whether_it_leads_begins_anew(tmp_path: Path) -> None:
    now, begun = [0.0], list[float]()
    async with Database.open(f"sqlite+aiosqlite:///{tmp_path}/isthmus.db") as database:
        await database.migrate()
        leadership = Leadership(
            database, name="leader", duration_s=3600, monotonic=lambda: now[0], on_taken=lambda: begun.append(now[0])
        )
        for now[0] in (0.0, 1200.0, 2400.0):
            await leadership.step()
        assert begun == [0.0]
        # By its own clock the lease is over; nobody else has taken it.
        now[0] = 7200.0
        held = [leadership.is_held]
        await leadership.step()
        assert [*held, leadership.is_held] == [False, True]
        assert begun == [0.0, 7200.0]
