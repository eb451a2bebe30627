"""Config of every kind, good and bad."""

from typing import Any

from conformance.case import Case, Group, one


def shapes(label: str, /, **config: Any) -> Case:
    """Return a case on the op that has a field of each shape."""
    good = {
        "text": "x",
        "number": 3,
        "share": 0.5,
        "is_on": True,
        "items": [1, 2],
        "table": {"a": 1},
        "either": {"first": {"limit": 1}},
        "kind": "RED",
        "open": {"known": 1, "unknown": [{}]},
        "anything": {"deep": [1, "two", None]},
    }
    return one(label, "shapes", config={"ops": {"takes_shapes": {"config": {**good, **config}}}})


def pydantic(label: str, /, **config: Any) -> Case:
    """Return a case on the op with a pydantic config."""
    return one(label, "pydantic", config={"ops": {"takes_pydantic": {"config": config}}})


GROUP = Group(
    name="configuration",
    module="configuration",
    env={"CONFORMANCE_WORD": "from-env", "CONFORMANCE_NUMBER": "12"},
    cases=(
        shapes("every shape"),
        shapes("a noneable that is none", maybe=None),
        shapes("a number of the wrong type", number="three"),
        shapes("a float where an integer is due", number=3.5),
        shapes("an integer where a float is due", share=2),
        shapes("a field that nobody knows", unknown=1),
        shapes("a selector with two choices", either={"first": {"limit": 1}, "second": "x"}),
        shapes("a selector with none", either={}),
        shapes("an item of a list that does not fit", items=[1, "two", 3, None]),
        shapes("a value of a map that does not fit", table={"a": 1, "b": "x"}),
        shapes("an enum's value that is none", kind="GREEN"),
        shapes("several errors at once", text=1, number="x", share=None, kind=3),
        one("no config at all", "shapes"),
        one("config for an op that is not there", "shapes", config={"ops": {"other": {"config": {}}}}),
        one("a scalar where a mapping is due", "shapes", config={"ops": 3}),
        pydantic("pydantic, defaults only", name="x"),
        pydantic(
            "pydantic, everything",
            name="x",
            limit=2**40,
            inner={"size": 2, "names": ["a"]},
            color="BLUE",
            animal={"cat": {"lives": 7}},
            table={"a": {"size": 1}},
            maybe="there",
            level="high",
        ),
        pydantic("pydantic, a field missing"),
        pydantic("pydantic, fields that do not fit", name=3, limit="x", color="PINK", inner={"size": "y"}),
        pydantic("pydantic, a union that does not fit", name="x", animal={"dog": {}, "cat": {}}),
        pydantic("pydantic, what only its validator refuses", name="forbidden"),
        one(
            "environment variables",
            "from_environment",
            config={
                "ops": {
                    "takes_sources": {
                        "config": {"word": {"env": "CONFORMANCE_WORD"}, "number": {"env": "CONFORMANCE_NUMBER"}}
                    }
                }
            },
        ),
        one(
            "an environment variable that is not there",
            "from_environment",
            config={"ops": {"takes_sources": {"config": {"word": {"env": "CONFORMANCE_NOT_THERE"}, "number": 1}}}},
        ),
        one(
            "environment variables in pydantic config",
            "pydantic",
            config={
                "ops": {
                    "takes_pydantic": {
                        "config": {"name": {"env": "CONFORMANCE_WORD"}, "limit": {"env": "CONFORMANCE_NUMBER"}}
                    }
                }
            },
        ),
        one("the job's own config", "with_own_config"),
        one(
            "the job's own config, and one at launch",
            "with_own_config",
            config={"ops": {"limited": {"config": {"limit": 9}}}},
        ),
        one("a RunConfig object", "with_run_config"),
        one("a config mapping", "with_mapping", config={"limit": 4}),
        one("a config mapping with defaults", "with_mapping"),
        one("a config mapping given what does not fit", "with_mapping", config={"limit": "x"}),
        one("a config mapping that raises", "with_mapping", config={"limit": -1}),
        one("a configured op", "preconfigured"),
        one(
            "extra fields in a permissive config",
            "permissive",
            config={"ops": {"takes_permissive": {"config": {"known": 1, "other": {"a": [1]}}}}},
        ),
        one("config of an asset", "asset_with_config", config={"ops": {"configured_asset": {"config": {"rows": 3}}}}),
    ),
)
