"""Type checks of what goes in and out, and what user code logs."""

from conformance.case import Group, one

GROUP = Group(
    name="types and loggers",
    module="types_and_loggers",
    cases=(
        one("an output of the wrong builtin type", "wrong_output"),
        one("an input of the wrong builtin type", "wrong_input"),
        one("a checked type that fits", "checked"),
        one("a checked type that does not fit, with description and metadata", "checked_and_refused"),
        one("a check that raises", "check_raises"),
        one("a check that returns nonsense", "check_returns_nonsense"),
        one("a check that tells of metadata when all is well", "check_with_metadata"),
        one("a python class as a type", "python_class"),
        one("a class that is a Dagster type", "usable_as_type"),
        one("an optional and a list", "containers"),
        one("a list with a wrong item", "wrong_item"),
        one(
            "a value loaded from config",
            "loaded_from_config",
            config={"ops": {"takes_point": {"inputs": {"point": {"x": 1, "y": 2}}}}},
        ),
        one(
            "a loader that raises",
            "loaded_from_config",
            config={"ops": {"takes_point": {"inputs": {"point": {"x": -1, "y": 2}}}}},
        ),
        one("levels", "levels"),
        one("a log line of an exception", "exception_line"),
        one("lines that are no text", "odd_lines"),
        one("a line of 100 KB", "long_line"),
        one("many lines", "many_lines"),
        one("a line with halves of surrogate pairs", "surrogate_line"),
        one("the logger that Dagster gives out", "given_logger"),
        one("a logger of the job's own", "own_logger"),
        one(
            "a logger of the job's own, with config",
            "own_logger",
            config={"loggers": {"own": {"config": {"prefix": "told"}}}},
        ),
        one("a logger's level", "levels", config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}}),
        one("a logger that raises", "raising_logger"),
        one("lines from a thread", "thread_lines"),
        one("lines with extra", "extra_lines"),
    ),
)
