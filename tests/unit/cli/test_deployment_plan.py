"""What a deploy would change, and what it changed."""

from isthmus.v1.control_plane_pb2 import (
    AlertPolicy,
    AlertReceiver,
    Location,
    LocationSettings,
    QueueSettings,
    SyncAlertPoliciesResponse,
)
from isthmus.v1.instruction_pb2 import CodeSource, ContainerSpec
from isthmus.v1.telemetry_pb2 import AssetKey, AssetSnapshot, JobSnapshot, LocationSnapshot, ScheduleSnapshot
from isthmus_cli.deployment_plan import (
    Change,
    FieldChange,
    Plan,
    alert_changes,
    definition_changes,
    plan,
    queue_changes,
)


def settings(name: str = "etl", *, image: str = "etl:1", pool: str = "default", **env: str) -> LocationSettings:
    return LocationSettings(
        name=name,
        pool=pool,
        source=CodeSource(module="etl.definitions"),
        container=ContainerSpec(image=image),
        env=env,
    )


def there(*those: LocationSettings) -> list[Location]:
    return [Location(settings=it) for it in those]


def test_each_location_is_added_changed_or_left() -> None:
    found = plan([settings("a"), settings("b", image="etl:2"), settings("c")], there=there(settings("b"), settings("c"), settings("d")), is_pruned=False)  # fmt: skip
    assert [(it.name, it.change) for it in found.locations] == [
        ("a", Change.ADDED),
        ("b", Change.CHANGED),
        ("c", Change.UNCHANGED),
        ("d", Change.LEFT),
    ]
    assert found.locations[1].fields == (FieldChange("container.image", "etl:1", "etl:2"),)
    assert found.changes_something


def test_what_is_not_in_the_file_goes_only_when_that_is_asked_for() -> None:
    (_, gone) = plan([settings("a")], there=there(settings("a"), settings("d")), is_pruned=True).locations
    assert (gone.name, gone.change) == ("d", Change.REMOVED)


def test_the_default_pool_is_no_change_and_a_deploy_of_what_is_there_changes_nothing() -> None:
    found = plan([settings(pool="")], there=there(settings(pool="default")), is_pruned=True)
    assert not found.changes_something


def test_values_of_the_environment_are_not_shown() -> None:
    (change,) = plan([settings(A="new", B="b")], there=there(settings(A="old", C="c")), is_pruned=False).locations
    assert change.fields == (
        FieldChange("env.A", "(hidden)", "(hidden)"),
        FieldChange("env.B", "", "(hidden)"),
        FieldChange("env.C", "(hidden)", ""),
    )


def test_a_limit_that_changes_is_one_field() -> None:
    before, after = QueueSettings(max_runs=3, locations={"etl": 0}), QueueSettings(max_runs=5, locations={"etl": 0})
    assert queue_changes(before, after) == [FieldChange("concurrency.max_runs", "3", "5")]
    assert queue_changes(before, before) == []
    assert queue_changes(QueueSettings(), QueueSettings(max_runs=0)) == [FieldChange("concurrency.max_runs", "", "0")]


def test_definitions_that_came_went_and_changed_are_told_by_kind() -> None:
    before = LocationSnapshot(
        jobs=[JobSnapshot(name="nightly"), JobSnapshot(name="gone")],
        assets=[AssetSnapshot(key=AssetKey(path=["raw", "orders"]), group="a")],
    )
    after = LocationSnapshot(
        jobs=[JobSnapshot(name="nightly"), JobSnapshot(name="__ASSET_JOB", is_implicit_asset_job=True)],
        assets=[AssetSnapshot(key=AssetKey(path=["raw", "orders"]), group="b")],
        schedules=[ScheduleSnapshot(name="at_night")],
    )
    assert [(it.kind, it.name, it.change) for it in definition_changes(before, after)] == [
        ("asset", "raw/orders", Change.CHANGED),
        ("job", "gone", Change.REMOVED),
        ("schedule", "at_night", Change.ADDED),
    ]
    assert definition_changes(after, after) == []


def policy(name: str, *, to: str = "json://secret", longer_than_s: float = 0.0) -> AlertPolicy:
    return AlertPolicy(name=name, on=["run.failed"], longer_than_s=longer_than_s, to=[AlertReceiver(apprise=to)])


def test_alert_policies_change_by_field_and_their_receivers_are_hidden() -> None:
    told = SyncAlertPoliciesResponse(
        added=["new"], changed=["moved", "slower"], unchanged=["same"], removed=["old"], kept=["other"]
    )
    found = alert_changes(
        [policy("new"), policy("moved", to="json://other"), policy("slower", longer_than_s=90), policy("same")],
        there=[policy(it, to="json://…") for it in ("moved", "slower", "same", "old", "other")],
        told=told,
    )
    assert [(it.name, it.change) for it in found] == [
        ("new", Change.ADDED),
        ("moved", Change.CHANGED),
        ("slower", Change.CHANGED),
        ("same", Change.UNCHANGED),
        ("old", Change.REMOVED),
        ("other", Change.LEFT),
    ]
    assert found[1].fields == (FieldChange("to", "(hidden)", "(hidden)"),)
    assert found[2].fields == (FieldChange("longer_than", "", "90s"),)
    assert "secret" not in repr(found)


def test_a_deployment_that_changes_in_its_alerts_alone_changes() -> None:
    (change,) = alert_changes([policy("new")], there=[], told=SyncAlertPoliciesResponse(added=["new"]))
    (kept,) = alert_changes([policy("new")], there=[], told=SyncAlertPoliciesResponse(unchanged=["new"]))
    assert Plan((), alerts=(change,)).changes_something
    assert not Plan((), alerts=(kept,)).changes_something
