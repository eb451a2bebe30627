"""Resources: made, torn down, nested, configured, failing."""

from conformance.case import Group, one

GROUP = Group(
    name="resources",
    module="resources",
    env={"CONFORMANCE_TOKEN": "from-env", "CONFORMANCE_PORT": "8080"},
    cases=(
        one("a function", "plain"),
        one("with config", "configured", config={"resources": {"counter": {"config": {"start": 5}}}}),
        one("with config that is missing", "configured"),
        one("torn down after the run", "with_teardown"),
        one("torn down after a failure", "teardown_after_failure"),
        one("the teardown raises", "teardown_raises"),
        one("the making raises", "making_raises"),
        one("the making raises when another is made already", "second_making_raises"),
        one("the making raises a Failure", "making_fails"),
        one("one that needs another", "nested"),
        one("a pydantic one", "pydantic_one"),
        one("a pydantic one with set-up and teardown", "with_lifecycle"),
        one("a pydantic one whose set-up raises", "setup_raises"),
        one("a pydantic one with another inside", "pydantic_nested"),
        one("values from the environment", "from_environment"),
        one("an environment variable that is not there", "from_missing_environment"),
        one(
            "config at launch for a pydantic one",
            "at_launch",
            config={"resources": {"late": {"config": {"name": "told"}}}},
        ),
        one(
            "config at launch that does not fit",
            "at_launch",
            config={"resources": {"late": {"config": {"name": 3, "other": 1}}}},
        ),
        one("a factory of values", "value_factory"),
        one("used by a hook", "used_by_hook"),
        one("a context manager by hand", "yielding"),
        one("an object that is no resource", "bare_object"),
    ),
)
