"""Jobs with resources of every kind."""

from contextlib import contextmanager

import dagster as dg
from dagster._config.pythonic_config import ConfigurableResourceFactory
from pydantic import Field, PrivateAttr


@dg.resource
def number(context):
    context.log.info("making number")
    return 7


@dg.resource(config_schema={"start": int})
def counter(context):
    return context.resource_config["start"]


@dg.resource
def torn_down(context):
    context.log.info("made")
    yield "thing"
    context.log.info("torn down")


@dg.resource
def teardown_error(context):
    yield "thing"
    raise RuntimeError("cannot close")


@dg.resource
def making_error():
    raise OSError("cannot connect")


@dg.resource
def making_failure():
    raise dg.Failure("no such host", metadata={"host": "example.com"})


@dg.resource(required_resource_keys={"number"})
def needs_number(context):
    return context.resources.number + 1


@dg.resource
@contextmanager
def by_hand():
    yield "by hand"


def job_with(name, keys, *, is_failing=False, ops=1):
    """Make a job whose op logs what its resources are."""

    @dg.op(name=f"{name}_op", required_resource_keys=set(keys))
    def _op(context):
        for key in keys:
            context.log.info(f"{key}: {getattr(context.resources, key)}")
        if is_failing:
            raise ValueError("after the resources")

    @dg.job(name=name)
    def _job():
        for place in range(ops):
            _op.alias(f"{name}_op_{place}")()

    return _job


class Store(dg.ConfigurableResource):
    folder: str = "here"
    size: int = Field(default=3, description="How much.")

    def describe(self) -> str:
        return f"{self.folder} {self.size}"


class Connection(dg.ConfigurableResource):
    name: str
    _is_open: bool = PrivateAttr(default=False)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self._is_open = True
        context.log.info(f"open {self.name}")

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        context.log.info(f"close {self.name} {self._is_open}")


class Broken(dg.ConfigurableResource):
    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        raise ConnectionError("refused")


class Outer(dg.ConfigurableResource):
    store: Store
    connection: Connection


class Secret(dg.ConfigurableResource):
    token: str
    port: int


class Missing(dg.ConfigurableResource):
    token: str


class Late(dg.ConfigurableResource):
    name: str


class Factory(ConfigurableResourceFactory[str]):
    prefix: str

    def create_resource(self, context: dg.InitResourceContext) -> str:
        return f"{self.prefix} made"


@dg.op
def uses_store(context: dg.OpExecutionContext, store: Store):
    context.log.info(store.describe())


@dg.job
def pydantic_one():
    uses_store()


@dg.op
def uses_connection(context: dg.OpExecutionContext, connection: Connection):
    context.log.info(f"{connection.name} {connection._is_open}")


@dg.job
def with_lifecycle():
    uses_connection.alias("first")()
    uses_connection.alias("second")()


@dg.op
def uses_broken(broken: Broken): ...


@dg.job
def setup_raises():
    uses_broken()


@dg.op
def uses_outer(context: dg.OpExecutionContext, outer: Outer):
    context.log.info(f"{outer.store.describe()} {outer.connection._is_open}")


@dg.job
def pydantic_nested():
    uses_outer()


@dg.op
def uses_secret(context: dg.OpExecutionContext, secret: Secret):
    context.log.info(f"{secret.token} {secret.port + 1}")


@dg.job
def from_environment():
    uses_secret()


@dg.op
def uses_missing(missing: Missing): ...


@dg.job
def from_missing_environment():
    uses_missing()


@dg.op
def uses_late(context: dg.OpExecutionContext, late: Late):
    context.log.info(late.name)


@dg.job
def at_launch():
    uses_late()


@dg.op
def uses_factory(context: dg.OpExecutionContext, factory: dg.ResourceParam[str]):
    context.log.info(factory)


@dg.job
def value_factory():
    uses_factory()


@dg.op
def quiet(): ...


@dg.success_hook(required_resource_keys={"number"})
def tells_number(context):
    context.log.info(f"hook: {context.resources.number}")


@dg.job(hooks={tells_number})
def used_by_hook():
    quiet()


defs = dg.Definitions(
    jobs=[
        job_with("plain", ["number"], ops=2),
        job_with("configured", ["counter"]),
        job_with("with_teardown", ["torn_down", "number"]),
        job_with("teardown_after_failure", ["torn_down"], is_failing=True),
        job_with("teardown_raises", ["teardown_error"]),
        job_with("making_raises", ["making_error"]),
        job_with("second_making_raises", ["torn_down", "zz_making_error"]),
        job_with("making_fails", ["making_failure"]),
        job_with("nested", ["needs_number"]),
        job_with("yielding", ["by_hand"]),
        job_with("bare_object", ["bare"]),
        pydantic_one,
        with_lifecycle,
        setup_raises,
        pydantic_nested,
        from_environment,
        from_missing_environment,
        at_launch,
        value_factory,
        used_by_hook,
    ],
    resources={
        "number": number,
        "counter": counter,
        "torn_down": torn_down,
        "teardown_error": teardown_error,
        "making_error": making_error,
        "zz_making_error": making_error,
        "making_failure": making_failure,
        "needs_number": needs_number,
        "by_hand": by_hand,
        "bare": {"any": "object"},
        "store": Store(folder="there"),
        "connection": Connection(name="c"),
        "broken": Broken(),
        "outer": Outer(store=Store(size=9), connection=Connection(name="inner")),
        "secret": Secret(token=dg.EnvVar("CONFORMANCE_TOKEN"), port=dg.EnvVar.int("CONFORMANCE_PORT")),
        "missing": Missing(token=dg.EnvVar("CONFORMANCE_NOT_THERE")),
        "late": Late.configure_at_launch(),
        "factory": Factory(prefix="it was"),
    },
    executor=dg.in_process_executor,
)
