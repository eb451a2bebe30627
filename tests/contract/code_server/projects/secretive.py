"""A canary in every place where user code can put a value. What is named STAYS must not leave; what is named LEAVES may."""

# a user's project, not the product

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import dagster as dg

PASSWORD = os.environ.get("CANARY_ENV", "STAYS-environment")


@dataclass
class Attributes:
    """As a component's resolved attributes, with a token from the environment."""

    token: str = "STAYS-attribute"


class Token(str):
    """A text of a class of its own."""

    __slots__ = ()


class Pair(NamedTuple):
    user: str
    password: str


CLOSED_OVER = "STAYS-closure"


class Warehouse(dg.ConfigurableResource):
    password: str = "STAYS-resource-default"
    host: str

    def query(self) -> str:
        return self.password


@dg.resource(config_schema={"key": dg.Field(str, default_value="STAYS-legacy-resource-default")})
def legacy(context) -> object:
    return context.resource_config["key"]


class Settings(dg.Config):
    limit: str = "LEAVES-config-default"


class Hidden:
    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def unknown_values(place: str) -> dict[str, Any]:
    return {
        "object": Hidden(f"STAYS-{place}-object"),
        "dataclass": Attributes(token=f"STAYS-{place}-dataclass"),
        "token": Token(f"STAYS-{place}-token"),
        "pair": Pair("u", f"STAYS-{place}-pair"),
        "set": {f"STAYS-{place}-set"},
        "bytes": f"STAYS-{place}-bytes".encode(),
        "nested": {"deep": [Hidden(f"STAYS-{place}-nested"), {"deeper": Token(f"STAYS-{place}-nested-token")}]},
    }


def origin() -> dict[str, Any]:
    try:
        from dagster._core.definitions.metadata.metadata_value import ObjectMetadataValue
    except ImportError:
        return {"origin": Attributes()}
    return {"origin": ObjectMetadataValue(Attributes())}


@dg.asset(
    metadata={**unknown_values("definition"), **origin(), "plain": "LEAVES-definition-metadata"},
    tags={"tag": "LEAVES-asset-tag"},
    description="LEAVES-description",
)
def table(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.Output[Any]:
    secret = warehouse.query() + PASSWORD + CLOSED_OVER
    context.log.info("LEAVES-log-line")
    print("STAYS-printed", secret)
    return dg.Output(
        Hidden("STAYS-io-value"),
        metadata={
            "text": "LEAVES-event-metadata",
            "json": dg.MetadataValue.json({"object": "LEAVES-json", "number": 1}),
        },
    )


@dg.op(required_resource_keys={"legacy"}, tags={"op": "LEAVES-op-tag"})
def load(context, config: Settings) -> str:
    secret = context.resources.legacy
    context.add_output_metadata({"where": dg.MetadataValue.path("LEAVES-path")})
    return "STAYS-value " + secret


@dg.op(out=dg.Out(int))
def mistyped():
    return "LEAVES-mistyped-value"


@dg.op(ins={"number": dg.In(int)})
def take(number):
    return None


@dg.op(out=dg.Out(dg.Any))
def untyped():
    return "LEAVES-mistyped-input"


@dg.op
def fails(config: Settings) -> None:
    hidden = "STAYS-local-variable"
    try:
        raise KeyError("LEAVES-cause")
    except KeyError as error:
        raise ValueError("LEAVES-exception", len(hidden)) from error


@dg.job(tags={"team": "LEAVES-job-tag"}, executor_def=dg.in_process_executor)
def loads():
    load()


@dg.job(executor_def=dg.in_process_executor)
def mistypes():
    mistyped()


@dg.job(executor_def=dg.in_process_executor)
def mistakes():
    take(untyped())


@dg.job(executor_def=dg.in_process_executor, config={"ops": {"fails": {"config": {"limit": "LEAVES-run-config"}}}})
def failing():
    fails()


@dg.schedule(job=loads, cron_schedule="@daily")
def nightly(warehouse: Warehouse):
    warehouse.query()
    return dg.RunRequest(tags={"asked": "LEAVES-requested-tag"})


@dg.sensor(job=loads)
def watch(context):
    hidden = "STAYS-sensor-local"
    context.log.info("LEAVES-sensor-line")
    context.instance.report_runless_asset_event(dg.AssetMaterialization("table", description="STAYS-undone-event"))
    raise RuntimeError("LEAVES-sensor-error", len(hidden))


defs = dg.Definitions(
    assets=[table],
    jobs=[loads, mistypes, mistakes, failing, dg.define_asset_job("refresh", selection="table")],
    schedules=[nightly],
    sensors=[watch],
    resources={
        "warehouse": Warehouse(password="STAYS-resource-config", host="STAYS-resource-host"),
        "legacy": legacy.configured({"key": "STAYS-legacy-config"}),
    },
    executor=dg.in_process_executor,
)
