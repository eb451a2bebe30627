"""Steps whose number is known only when the run is under way."""

from conformance.case import Group, one

GROUP = Group(
    name="dynamic",
    module="dynamic",
    cases=(
        one("map and collect", "mapped"),
        one("a map behind a map", "mapped_twice"),
        one("a map over a graph", "mapped_graph"),
        one("collected by two", "collected_twice"),
        one("no output at all", "nothing_to_map"),
        one("one of the mapped steps fails", "one_fails"),
        one("a mapped step is retried", "one_is_retried"),
        one("a mapping key twice", "same_key_twice"),
        one("a mapping key that is not allowed", "bad_key"),
        one("a mapped step skips its output", "some_skip"),
        one("a dynamic and a plain output", "mixed_outputs"),
        one("the dynamic step itself fails half way", "fails_half_way"),
        one("order only", "mapped_without_data"),
    ),
)
