"""Jobs that ask much of whoever runs them: output, log lines, events, and an op that lets no other thread run."""

import ctypes
import sys

from dagster import AssetMaterialization, Config, Definitions, OpExecutionContext, in_process_executor, job, op


class Amount(Config):
    amount: int


@op
def print_much(config: Amount) -> None:
    line = "x" * 1023 + "\n"
    for number in range(config.amount):
        (sys.stdout if number % 2 == 0 else sys.stderr).write(line)


@job(executor_def=in_process_executor)
def much_output() -> None:
    print_much()


@op
def log_much(context: OpExecutionContext, config: Amount) -> None:
    for number in range(config.amount):
        context.log.info("line %s", number)


@job(executor_def=in_process_executor)
def many_lines() -> None:
    log_much()


@op
def tell_much(context: OpExecutionContext, config: Amount) -> None:
    for number in range(config.amount):
        context.log_event(AssetMaterialization(f"thing_{number % 10}", metadata={"number": number}))


@job(executor_def=in_process_executor)
def many_events() -> None:
    tell_much()


@op
def hold_the_interpreter(config: Amount) -> None:
    """Sleep in C without letting go of the interpreter: no other thread of this process runs meanwhile."""
    ctypes.PyDLL(None).sleep(config.amount)


@job(executor_def=in_process_executor)
def holds_the_interpreter() -> None:
    hold_the_interpreter()


defs = Definitions(jobs=[much_output, many_lines, many_events, holds_the_interpreter])
