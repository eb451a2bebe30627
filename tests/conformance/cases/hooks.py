"""Hooks: on jobs, on single ops, failing, and what they know."""

from conformance.case import Group, one

GROUP = Group(
    name="hooks",
    module="hooks",
    cases=(
        one("of a job that succeeds", "succeeding"),
        one("of a job that fails", "failing"),
        one("of one op", "of_op"),
        one("a hook that raises", "raising"),
        one("what a hook knows", "telling"),
        one("what a hook knows of a failure", "telling_of_failure"),
        one("a hook that logs events", "listing"),
        one("hooks and steps that are skipped", "skipping"),
        one("hooks that are put on at the definition", "with_hooks"),
        one("hooks of dynamic steps", "dynamic"),
    ),
)
