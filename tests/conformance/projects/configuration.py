"""Ops with config of every kind, which log what they were given."""

import enum
from typing import Literal, Union

import dagster as dg
from pydantic import Field, field_validator


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


def _say(context, config):
    context.log.info("\n".join(f"{name}: {config[name]!r}" for name in sorted(config)))


@dg.op(
    config_schema={
        "text": str,
        "number": dg.Field(int, description="How many."),
        "share": float,
        "is_on": bool,
        "items": [int],
        "table": dg.Map(str, int),
        "either": dg.Selector({"first": {"limit": int}, "second": str}),
        "kind": dg.Enum("Color", [dg.EnumValue("RED", Color.RED), dg.EnumValue("BLUE", Color.BLUE)]),
        "open": dg.Permissive({"known": int}),
        "anything": dg.Any,
        "maybe": dg.Field(dg.Noneable(str), is_required=False, default_value="default"),
        "optional": dg.Field(int, is_required=False),
    }
)
def takes_shapes(context: dg.OpExecutionContext):
    _say(context, context.op_config)


@dg.job
def shapes():
    takes_shapes()


class Inner(dg.Config):
    size: int = 5
    names: list[str] = []  # noqa: RUF012  # as people write it


class Cat(dg.Config):
    animal_type: Literal["cat"] = "cat"
    lives: int = 9


class Dog(dg.Config):
    animal_type: Literal["dog"] = "dog"
    is_good: bool = True


class Pydantic(dg.Config):
    name: str
    limit: int = 10
    inner: Inner = Inner()
    color: Color = Color.RED
    # As Dagster 1.10 needs it.
    animal: Union[Cat, Dog] = Field(default=Dog(), discriminator="animal_type")  # noqa: UP007
    table: dict[str, Inner] = {}  # noqa: RUF012  # as people write it
    maybe: str | None = None
    level: Literal["low", "high"] = "low"

    @field_validator("name")
    @classmethod
    def is_allowed(cls, name: str) -> str:
        if name == "forbidden":
            raise ValueError("this name is forbidden")
        return name


@dg.op
def takes_pydantic(context: dg.OpExecutionContext, config: Pydantic):
    context.log.info(f"{config!r}")


@dg.job
def pydantic():
    takes_pydantic()


@dg.op(config_schema={"word": dg.StringSource, "number": dg.IntSource})
def takes_sources(context):
    _say(context, context.op_config)


@dg.job
def from_environment():
    takes_sources()


@dg.op(config_schema={"limit": int})
def limited(context):
    _say(context, context.op_config)


@dg.job(config={"ops": {"limited": {"config": {"limit": 5}}}})
def with_own_config():
    limited()


@dg.job(config=dg.RunConfig(ops={"takes_pydantic": Pydantic(name="of the job", color=Color.BLUE)}))
def with_run_config():
    takes_pydantic()


@dg.config_mapping(config_schema={"limit": dg.Field(int, default_value=2)})
def doubled(value):
    if value["limit"] < 0:
        raise ValueError("negative")
    return {"ops": {"limited": {"config": {"limit": value["limit"] * 2}}}}


@dg.job(config=doubled)
def with_mapping():
    limited()


@dg.job
def preconfigured():
    limited.configured({"limit": 8}, name="eight")()


class Open(dg.PermissiveConfig):
    known: int


@dg.op
def takes_permissive(context, config: Open):
    _say(context, config.model_dump())


@dg.job
def permissive():
    takes_permissive()


class Rows(dg.Config):
    rows: int


@dg.asset
def configured_asset(context: dg.AssetExecutionContext, config: Rows):
    context.add_output_metadata({"rows": config.rows})


defs = dg.Definitions(
    assets=[configured_asset],
    jobs=[
        shapes,
        pydantic,
        from_environment,
        with_own_config,
        with_run_config,
        with_mapping,
        preconfigured,
        permissive,
        dg.define_asset_job("asset_with_config", selection=["configured_asset"]),
    ],
    executor=dg.in_process_executor,
)
