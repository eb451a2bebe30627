"""A project whose runs show everything that a page has to show, and whose texts try to be markup."""

import sys
import time
from pathlib import Path

import dagster as dg
from hostile import ATTACKS

HERE = Path(__file__).parent


@dg.op
def extract(context):
    context.log.info("reading")
    print("\x1b[32mgreen\x1b[0m plain")
    for percent in range(0, 101, 50):
        print(f"\rprogress {percent} %", end="")
    print()
    print("to the other stream", file=sys.stderr)
    return 1


@dg.op
def load(rows):
    return rows


@dg.op
def break_down(rows):
    try:
        int("no number")
    except ValueError as error:
        raise RuntimeError("the rows cannot be read") from error


@dg.job
def nightly():
    load(extract())


@dg.job
def broken():
    break_down(load(extract()))


@dg.op
def wait_for_an_end():
    while True:
        time.sleep(0.1)


@dg.job
def endless():
    wait_for_an_end()


@dg.op
def attack(context):
    for text in ATTACKS:
        context.log.warning(text)
        print(text)
    context.add_output_metadata(
        {"text": ATTACKS[0], "link": dg.MetadataValue.url(ATTACKS[3]), "words": dg.MetadataValue.md(ATTACKS[1])}
    )
    raise dg.Failure(description=ATTACKS[0], metadata={"evil": ATTACKS[2]})


@dg.job(tags={"evil": ATTACKS[0]}, description=ATTACKS[1])
def hostile():
    attack()


defs = dg.Definitions(jobs=[nightly, broken, endless, hostile])
