"""Real runs by the thousand, with reloads between them: descriptors, memory and folders of a code server stay flat.

The long form, some minutes, from the repository's folder: `PYTHONPATH=tests .venv/bin/python -m soak.code_server_runs`
(`--runs 5000 --reloads 9`). Its short form is `tests/integration/test_code_server_soak.py`.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from integration.test_code_server import Running, children_of, code_server, tapping
from isthmus_spool.attempt_folder import list_attempts
from support.eventually import eventually
from support.rabbitmq import session_rabbitmq

#: How many runs go at a time.
_BATCH = 10
#: Descriptors that may be there at one look and not at another: what is closed at that moment.
_BEING_CLOSED = 2
#: By how much a process's memory may grow between the first batches and the last ones, bytes: the allocator's play.
_PLAY_BYTES = 12 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a code server and its zygote hold while no run is under way."""

    runs: int
    descriptors: tuple[int, int]
    memory_bytes: tuple[int, int]

    def __str__(self) -> str:
        megabytes = [round(size / 1024**2, 1) for size in self.memory_bytes]
        return f"{self.runs:>6} runs · descriptors {self.descriptors} · MiB {megabytes} (server, zygote)"


async def soak(folder: Path, broker_url: str, *, runs: int, reloads: int, batch: int = _BATCH) -> list[list[Sample]]:
    """Execute runs in one code server after the other; returns the samples of each server."""
    lives: list[list[Sample]] = []
    per_life = runs // (reloads + 1)
    async with tapping(broker_url):
        for life in range(reloads + 1):
            async with code_server(folder, broker_url) as server:
                lives.append(await _live(server, life * per_life, per_life, batch=batch))
                server.process.terminate()
                await server.process.wait()
    check(lives)
    done = [attempt for attempt in list_attempts(folder / "location" / "runs") if attempt.is_done]
    assert len(done) == per_life * (reloads + 1)
    assert not [attempt for attempt in done if attempt.journal.exists()]
    return lives


def check(lives: Sequence[Sequence[Sample]]) -> None:
    """See that nothing grew from the first runs of a server to its last."""
    for samples in lives:
        first, last = samples[0], samples[-1]
        grown = [after - before for before, after in zip(first.descriptors, last.descriptors, strict=True)]
        assert max(grown) <= _BEING_CLOSED, (first, last)
        for before, after in zip(first.memory_bytes, last.memory_bytes, strict=True):
            assert after - before < _PLAY_BYTES, (first, last)


async def _live(server: Running, first: int, count: int, *, batch: int) -> list[Sample]:
    samples: list[Sample] = []
    for begin in range(first, first + count, batch):
        names = [f"r{number}" for number in range(begin, min(begin + batch, first + count))]
        await asyncio.gather(*(server.start("smallest", run_id=name) for name in names))
        await eventually(partial(_are_done, server, names), within=60, every=0.05)
        samples.append(await _sample(server, begin + len(names)))
    return samples


def _are_done(server: Running, names: Sequence[str]) -> bool:
    return all(server.folder(name).is_done for name in names)


async def _sample(server: Running, runs: int) -> Sample:
    """Measure once the two spares are there and nothing else is."""
    (zygote,) = children_of(server.process.pid)
    await eventually(lambda: len(children_of(zygote)) == 2, within=60)
    pids = (server.process.pid, zygote)
    descriptors = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids]
    memory = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") for pid in pids]
    return Sample(runs=runs, descriptors=(descriptors[0], descriptors[1]), memory_bytes=(memory[0], memory[1]))


def main() -> int:
    """Run the long form; returns the exit code."""
    parser = argparse.ArgumentParser(description="Executes runs by the thousand in code servers and sees what grows.")
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--reloads", type=int, default=9)
    options = parser.parse_args()
    with session_rabbitmq() as rabbit, tempfile.TemporaryDirectory(prefix="isthmus-soak-") as folder:
        work = soak(Path(folder), rabbit.take_url(), runs=options.runs, reloads=options.reloads)
        for samples in asyncio.run(work):
            sys.stdout.write(f"{samples[0]}\n{samples[-1]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
