"""A client of a service is made, and asked once, when the module is imported; ops ask it again."""

import dagster as dg
import grpc

CHANNEL = grpc.insecure_channel("127.0.0.1:9")


def ask() -> str:
    try:
        CHANNEL.unary_unary("/service/Ask")(b"", timeout=2)
    except grpc.RpcError as error:
        return error.code().name
    return "answered"


FIRST = ask()


@dg.op
def asks(context: dg.OpExecutionContext) -> None:
    context.log.info(f"{FIRST} {ask()}")


@dg.job(executor_def=dg.in_process_executor)
def asking() -> None:
    asks()


defs = dg.Definitions(jobs=[asking])
