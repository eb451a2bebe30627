"""Ops and how they are wired: nesting, fan-in, branches, outputs of every kind."""

from conformance.case import Group, one

GROUP = Group(
    name="graphs",
    module="graphs",
    cases=(
        one("one op", "one_op"),
        one("nested graphs with mapped inputs and outputs", "nested"),
        one("the same op under several names", "aliased"),
        one("fan-in of a list", "fan_in"),
        one("several outputs", "several_outputs"),
        one("a branch that is taken and one that is not", "branching"),
        one("fan-in behind a branch", "branch_fan_in"),
        one("order without data", "nothing_dependencies"),
        one("inputs from defaults", "default_inputs"),
        one(
            "inputs from config", "input_from_config", config={"ops": {"double": {"inputs": {"number": {"value": 4}}}}}
        ),
        one("a branch fails and another goes on", "half_failing"),
        one("an op that is a coroutine", "coroutine"),
        one("an op that generates coroutines' outputs", "async_generator"),
        one("an output that is missing", "missing_output"),
        one("an output that nobody declared", "undeclared_output"),
        one("an output that is yielded twice", "output_twice"),
        one("an output that is yielded before the op fails", "output_then_failure"),
        one("output metadata", "output_metadata"),
        one("expectations", "expectations"),
        one("events that an op logs", "logged_events"),
        one(
            "a graph with config mapped to its ops",
            "mapped_config",
            config={"ops": {"configured_graph": {"config": {"by": 3}}}},
        ),
        one(
            "a config mapping that raises",
            "mapped_config",
            config={"ops": {"configured_graph": {"config": {"by": -1}}}},
        ),
        one("a job made of a graph, with its own config and tags", "from_graph"),
        one("a job without ops", "empty"),
    ),
)
