"""Runs that execute a part of an earlier one again. A parent's tags are handed on: what made it fail is told anew."""

from conformance.case import Group, Launch, several

JOB = "__ASSET_JOB"

GROUP = Group(
    name="re-execution",
    module="reexecution",
    cases=(
        several(
            "from the failure",
            Launch(job="fails_once", tags={"fail": "yes"}),
            Launch(job="fails_once", parent=0, is_from_failure=True, tags={"fail": "no"}),
        ),
        several(
            "from the failure of one branch",
            Launch(job="branches", tags={"fail": "yes"}),
            Launch(job="branches", parent=0, is_from_failure=True, tags={"fail": "no"}),
        ),
        several(
            "a step of a run that succeeded",
            Launch(job="fails_once"),
            Launch(job="fails_once", parent=0, steps=("behind",)),
        ),
        several(
            "a step of a step's re-execution",
            Launch(job="fails_once"),
            Launch(job="fails_once", parent=0, steps=("behind",)),
            Launch(job="fails_once", parent=1, steps=("last",)),
        ),
        several(
            "from the failure of a mapped step",
            Launch(job="dynamic", tags={"fail": "yes"}),
            Launch(job="dynamic", parent=0, is_from_failure=True, tags={"fail": "no"}),
        ),
        several(
            "everything again",
            Launch(job="fails_once", tags={"fail": "yes"}),
            Launch(job="fails_once", parent=0, tags={"fail": "no"}),
        ),
        several(
            "assets, from the failure",
            Launch(job=JOB, assets=("first", "second", "third"), tags={"fail": "yes"}),
            Launch(job=JOB, assets=("first", "second", "third"), parent=0, is_from_failure=True, tags={"fail": "no"}),
        ),
        several(
            "retries are counted anew",
            Launch(job="retried", tags={"fail": "yes"}),
            Launch(job="retried", parent=0, is_from_failure=True, tags={"fail": "no"}),
        ),
    ),
)
