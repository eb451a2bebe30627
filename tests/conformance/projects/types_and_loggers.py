"""Ops with checked types, and ops that log."""

import logging
import threading

import dagster as dg


@dg.op
def gives_text_as_number() -> int:
    return "one"


@dg.op
def take(number: int) -> int:
    return number


@dg.job
def wrong_output():
    take(gives_text_as_number())


@dg.op
def gives_text():
    return "one"


@dg.job
def wrong_input():
    take(gives_text())


def _is_even(_, value):
    return dg.TypeCheck(
        success=value % 2 == 0,
        description=f"{value} halves to {value / 2}",
        metadata={"half": value / 2, "why": dg.MetadataValue.md("*even*")},
    )


Even = dg.DagsterType(name="Even", type_check_fn=_is_even, description="A number that is even.")


@dg.op(out=dg.Out(Even))
def gives_even():
    return 4


@dg.op(out=dg.Out(Even))
def gives_odd():
    return 5


@dg.op(ins={"number": dg.In(Even)})
def takes_even(number):
    return number


@dg.op
def three():
    return 3


@dg.job
def checked():
    takes_even(gives_even())


@dg.job
def checked_and_refused():
    takes_even(gives_odd())
    takes_even.alias("of_untyped")(three())


def _raises(_, value):
    raise RuntimeError("cannot tell")


@dg.op(out=dg.Out(dg.DagsterType(name="Raising", type_check_fn=_raises)))
def gives_uncheckable():
    return 1


@dg.job
def check_raises():
    gives_uncheckable()


@dg.op(out=dg.Out(dg.DagsterType(name="Nonsense", type_check_fn=lambda _, value: "perhaps")))
def gives_nonsense():
    return 1


@dg.job
def check_returns_nonsense():
    gives_nonsense()


@dg.job
def check_with_metadata():
    gives_even()


class Plain: ...


@dg.op(out=dg.Out(dg.PythonObjectDagsterType(Plain, name="PlainType")))
def gives_plain(context):
    return Plain()


@dg.op
def takes_plain(thing: Plain): ...


@dg.op(out=dg.Out(dg.PythonObjectDagsterType(Plain, name="PlainToo")))
def gives_other():
    return 3


@dg.job
def python_class():
    takes_plain(gives_plain())
    gives_other()


@dg.usable_as_dagster_type(name="Marked", description="A class that is marked.")
class Marked: ...


@dg.op
def gives_marked() -> Marked:
    return Marked()


@dg.op
def takes_marked(thing: Marked): ...


@dg.job
def usable_as_type():
    takes_marked(gives_marked())


@dg.op
def gives_list() -> list[int]:
    return [1, 2]


@dg.op
def gives_mixed_list() -> list[int]:
    return [1, "two"]


@dg.op
def gives_maybe() -> int | None:
    return None


@dg.op
def takes_dict(values: dict[str, list[int]]): ...


@dg.op
def gives_dict() -> dict:
    return {"a": [1]}


@dg.job
def containers():
    gives_list()
    gives_maybe()
    takes_dict(gives_dict())


@dg.job
def wrong_item():
    gives_mixed_list()


@dg.dagster_type_loader({"x": int, "y": int})
def load_point(_, config):
    if config["x"] < 0:
        raise ValueError("left of the map")
    return (config["x"], config["y"])


Point = dg.DagsterType(name="Point", type_check_fn=lambda _, value: isinstance(value, tuple), loader=load_point)


@dg.op(ins={"point": dg.In(Point)})
def takes_point(context, point):
    context.log.info(f"{point}")


@dg.job
def loaded_from_config():
    takes_point()


def logging_job(fn):
    """Make a job of one op that runs this function with its context."""

    @dg.op(name=f"{fn.__name__}_op")
    def _op(context: dg.OpExecutionContext):
        fn(context)

    @dg.job(name=fn.__name__)
    def _job():
        _op()

    return _job


@logging_job
def levels(context):
    context.log.debug("debug")
    context.log.info("info")
    context.log.warning("warning")
    context.log.error("error")
    context.log.critical("critical")
    context.log.log(25, "in between")


@logging_job
def exception_line(context):
    try:
        raise KeyError("inner")
    except KeyError:
        context.log.exception("it happened")
        context.log.warning("and was handled", exc_info=True)


@logging_job
def odd_lines(context):
    context.log.info("")
    context.log.info("two\nlines")
    context.log.info({"a": 1})
    context.log.info("%s and %d", "text", 3)
    context.log.info("großes 大きい 🚲")


@logging_job
def long_line(context):
    context.log.info("x" * 100_000)


@logging_job
def many_lines(context):
    for number in range(300):
        context.log.debug(f"line {number}")


@logging_job
def surrogate_line(context):
    context.log.info("bad \udcff byte")
    context.log_event(dg.AssetMaterialization("kept", metadata={"text": "also \udcff"}))


@logging_job
def given_logger(context):
    dg.get_dagster_logger().info("given")
    dg.get_dagster_logger("of a name").warning("by name")
    logging.getLogger("plain").warning("not Dagster's")


@logging_job
def thread_lines(context):
    threads = [threading.Thread(target=context.log.info, args=(f"thread {number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@logging_job
def extra_lines(context):
    context.log.info("with extra", extra={"foo": "bar"})


@dg.logger({"prefix": dg.Field(str, default_value="default")})
def own(init_context):
    logger = logging.getLogger("own")
    logger.setLevel("DEBUG")
    prefix = init_context.logger_config["prefix"]

    class Handler(logging.Handler):
        def emit(self, record):
            with open("/dev/stdout", "a") as file:  # noqa: PTH123
                file.write(f"{prefix} {record.getMessage()}\n")

    logger.addHandler(Handler())
    return logger


@dg.logger
def raising(_):
    raise RuntimeError("no logger")


@dg.op
def says(context):
    context.log.info("said")


@dg.job(logger_defs={"own": own})
def own_logger():
    says()


@dg.job(logger_defs={"raising": raising})
def raising_logger():
    says()


defs = dg.Definitions(
    jobs=[
        wrong_output,
        wrong_input,
        checked,
        checked_and_refused,
        check_raises,
        check_returns_nonsense,
        check_with_metadata,
        python_class,
        usable_as_type,
        containers,
        wrong_item,
        loaded_from_config,
        levels,
        exception_line,
        odd_lines,
        long_line,
        many_lines,
        surrogate_line,
        given_logger,
        own_logger,
        raising_logger,
        thread_lines,
        extra_lines,
    ],
    executor=dg.in_process_executor,
)
