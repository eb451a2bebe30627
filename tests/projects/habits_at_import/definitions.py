"""What projects do to their process when they are imported: all of it is undone, or passed on, as Dagster's runs have it."""

import asyncio
import atexit
import logging
import logging.handlers
import multiprocessing
import os
import queue
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType

import dagster as dg

HERE = Path(__file__).resolve().parent
os.chdir(HERE / "elsewhere")
os.umask(0o027)
sys.setrecursionlimit(5000)
sys.stdout.reconfigure(line_buffering=False)  # type: ignore[union-attr]
warnings.simplefilter("error", RuntimeWarning)
LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(LOOP)
LOOP.run_until_complete(asyncio.sleep(0))
RECORDS: "queue.Queue[logging.LogRecord]" = queue.Queue()
LISTENER = logging.handlers.QueueListener(RECORDS, logging.FileHandler("records.log"))
LISTENER.start()
logging.getLogger("habits").addHandler(logging.handlers.QueueHandler(RECORDS))
atexit.register(LISTENER.stop)
FED = sys.stdin.read()
CAUGHT: list[int] = []


def catch(number: int, frame: FrameType | None) -> None:
    CAUGHT.append(number)


signal.signal(signal.SIGUSR1, catch)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)


@dg.op
def look(context: dg.OpExecutionContext) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    context.log.info(f"{Path.cwd().name} {os.umask(0o027):o} {sys.getrecursionlimit()} {CAUGHT} {FED!r}")
    context.log.info(str(LOOP.run_until_complete(asyncio.sleep(0, "slept"))))
    logging.getLogger("habits").warning("queued")


@dg.op(ins={"after": dg.In(dg.Nothing)})
def print_much(context: dg.OpExecutionContext) -> None:
    os.write(1, b"\xff\xfe not of UTF-8\n")
    sys.stdout.write("\N{SNOWMAN}" * 1_000_000)
    sys.stderr.write("x" * 1_000_000 + "\n")
    context.log.info("caf\N{LATIN SMALL LETTER E WITH ACUTE} \udcff")


@dg.op(ins={"after": dg.In(dg.Nothing)})
def pool(context: dg.OpExecutionContext) -> None:
    with multiprocessing.get_context("fork").Pool(2) as workers:
        context.log.info(str(workers.map(abs, [-1, -2])))
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        context.log.info(str(workers.map(abs, [-3])))


@dg.op(ins={"after": dg.In(dg.Nothing)})
def warn() -> None:
    warnings.warn("taken for an error", RuntimeWarning, stacklevel=1)


@dg.job(executor_def=dg.in_process_executor)
def together() -> None:
    warn(pool(print_much(look())))


@dg.job
def apart() -> None:
    warn(pool(print_much(look())))


defs = dg.Definitions(jobs=[together, apart])
