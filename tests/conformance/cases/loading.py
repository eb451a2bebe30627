"""Projects that hand over their definitions in other ways than one `Definitions`."""

from conformance.case import Group, one

JOB = "__ASSET_JOB"

GROUPS = (
    Group(
        name="loading a repository",
        module="loaded_repository",
        cases=(
            one("a job", "a_job"),
            one("a job of assets", "asset_job"),
            one("an asset and its check", JOB, assets=("an_asset",)),
        ),
    ),
    Group(
        name="loading lazily",
        module="loaded_lazily",
        cases=(
            one("a job of assets", "asset_job", since="1.11"),
            one("an asset", JOB, assets=("an_asset",), since="1.11"),
        ),
    ),
    Group(
        name="loading several",
        module="loaded_merged",
        cases=(
            one("a job", "a_job"),
            one("assets of two of them", JOB, assets=("first", "second")),
        ),
    ),
)
