"""How values travel between steps."""

from conformance.case import Group, one

GROUP = Group(
    name="io managers",
    module="io_managers",
    cases=(
        one("the default one", "default_manager"),
        one("one of the project's own, with metadata", "own_manager"),
        one("another for each output", "per_output"),
        one("handling an output raises", "handling_raises"),
        one("loading an input raises", "loading_raises"),
        one("a Failure while an output is handled", "handling_fails"),
        one("a retry while an output is handled", "handling_retries"),
        one("a value that cannot be pickled", "unpicklable"),
        one("in memory", "in_memory"),
        one("a generator that yields metadata", "yielding_manager"),
        one("an input manager", "input_manager"),
        one(
            "an input manager with config",
            "input_manager_config",
            config={"ops": {"takes_configured": {"inputs": {"number": {"base": 4}}}}},
        ),
        one("an input manager that raises", "input_manager_raises"),
        one("an input that overrides how an upstream output is loaded", "overriding_input"),
        one("outputs of nothing are not handled", "nothing"),
        one("None is handled", "none_output"),
        one("a pydantic io manager with config", "pydantic_manager"),
        one("an io manager that needs a resource", "manager_with_resource"),
        one("an old-style io manager that needs a resource", "needs_keeper_job"),
        one("the context of an io manager", "telling_context"),
        one("a file that is gone", "file_gone"),
        one("path-based, of assets", "__ASSET_JOB", assets=("path_source", "path_user")),
        one("materializations that an io manager logs", "logging_manager"),
    ),
)
