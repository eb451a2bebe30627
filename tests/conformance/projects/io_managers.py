"""Jobs whose values are kept in every way."""

import os
import pickle
from pathlib import Path

import dagster as dg
from upath import UPath

FOLDER = Path(os.environ["CONFORMANCE_SCRATCH"])


class OwnManager(dg.IOManager):
    def _path(self, context):
        return FOLDER / "-".join(context.get_identifier())

    def handle_output(self, context: dg.OutputContext, obj):
        self._path(context).write_bytes(pickle.dumps(obj))
        context.add_output_metadata({"size": 4, "kind": dg.MetadataValue.md("*own*")})
        context.log.info(f"kept {obj}")

    def load_input(self, context: dg.InputContext):
        value = pickle.loads(self._path(context.upstream_output).read_bytes())
        context.add_input_metadata({"loaded": True})
        return value


class Raising(OwnManager):
    def __init__(self, *, handling=None, loading=None):
        self._handling = handling
        self._loading = loading

    def handle_output(self, context, obj):
        if self._handling is not None:
            raise self._handling
        super().handle_output(context, obj)

    def load_input(self, context):
        raise self._loading


class RetryingOnce(OwnManager):
    def handle_output(self, context, obj):
        if context.step_context.previous_attempt_count == 0:
            raise dg.RetryRequested(max_retries=1) from OSError("busy")
        super().handle_output(context, obj)


class Yielding(OwnManager):
    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        yield {"yielded": 1, "path": dg.MetadataValue.path("/there")}


class Telling(OwnManager):
    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        context.log.info(
            f"{context.step_key} {context.name} {context.job_name} {context.op_def.name} {context.definition_metadata}"
        )

    def load_input(self, context):
        upstream = context.upstream_output
        context.log.info(f"{context.name} {upstream.step_key} {upstream.name} {context.dagster_type.display_name}")
        return super().load_input(context)


class Logging(OwnManager):
    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        context.log_event(dg.AssetMaterialization(["kept", context.step_key], metadata={"value": obj}))

    def load_input(self, context):
        value = super().load_input(context)
        context.log_event(dg.AssetObservation("read", metadata={"value": value}))
        return value


class Pydantic(dg.ConfigurableIOManager):
    prefix: str

    def handle_output(self, context, obj):
        (FOLDER / f"{self.prefix}-{context.step_key}").write_text(str(obj))

    def load_input(self, context):
        return int((FOLDER / f"{self.prefix}-{context.upstream_output.step_key}").read_text())


class Keeper(dg.ConfigurableResource):
    name: str


class WithResource(dg.ConfigurableIOManager):
    keeper: dg.ResourceDependency[Keeper]

    def handle_output(self, context, obj):
        context.log.info(f"{self.keeper.name} keeps {obj}")

    def load_input(self, context):
        return 5


@dg.io_manager(required_resource_keys={"keeper"})
def needs_keeper(context):
    context.log.info(f"keeper: {context.resources.keeper.name}")
    return OwnManager()


class PathBased(dg.UPathIOManager):
    extension = ".txt"

    def dump_to_path(self, context, obj, path: UPath):
        path.write_text(str(obj))

    def load_from_path(self, context, path: UPath):
        return int(path.read_text())


@dg.op
def give() -> int:
    return 3


@dg.op
def take(context: dg.OpExecutionContext, number: int) -> int:
    context.log.info(f"took {number}")
    return number + 1


def chain(name, **resources):
    """Make a job of two ops with an IO manager of its own."""

    @dg.job(name=name, resource_defs=resources)
    def _job():
        take(give())

    return _job


def fixed(manager):
    return dg.IOManagerDefinition.hardcoded_io_manager(manager)


@dg.op(out={"a": dg.Out(io_manager_key="own"), "b": dg.Out(io_manager_key="yielding"), "c": dg.Out()})
def three():
    return 1, 2, 3


@dg.op
def sums(a, b, c):
    return a + b + c


@dg.job
def per_output():
    sums(*three())


@dg.op
def gives_lambda():
    return lambda: 1


@dg.job
def unpicklable():
    gives_lambda()


@dg.input_manager
def seven(context):
    context.log.info(f"loading {context.name}")
    return 7


@dg.input_manager(input_config_schema={"base": int})
def from_config(context):
    return context.config["base"] * 2


@dg.input_manager
def broken_input(context):
    raise OSError("no such table")


@dg.input_manager
def reads_differently(context):
    context.log.info(f"instead of {context.upstream_output.step_key}")
    return 100


@dg.op(ins={"number": dg.In(int, input_manager_key="seven")})
def takes_seven(number):
    return number


@dg.op(ins={"number": dg.In(int, input_manager_key="from_config")})
def takes_configured(number):
    return number


@dg.op(ins={"number": dg.In(int, input_manager_key="broken_input")})
def takes_broken(number):
    return number


@dg.op(ins={"number": dg.In(int, input_manager_key="reads_differently")})
def takes_differently(context, number):
    context.log.info(f"{number}")


@dg.job
def input_manager():
    takes_seven()


@dg.job
def input_manager_config():
    takes_configured()


@dg.job
def input_manager_raises():
    takes_broken()


@dg.job
def overriding_input():
    takes_differently(give())


@dg.op(out=dg.Out(dg.Nothing))
def gives_nothing(): ...


@dg.op(ins={"start": dg.In(dg.Nothing)})
def goes_after(): ...


@dg.job
def nothing():
    goes_after(gives_nothing())


@dg.op
def gives_none():
    return None


@dg.op
def takes_any(context, value):
    context.log.info(f"{value}")


@dg.job
def none_output():
    takes_any(gives_none())


@dg.op
def removes_file(context: dg.OpExecutionContext, number: int) -> int:
    Path(os.environ["DAGSTER_HOME"], "storage", context.run_id, "give", "result").unlink()
    return number


@dg.op
def take_both(first: int, number: int) -> int:
    return first + number


@dg.job
def file_gone():
    number = give()
    take_both(removes_file(number), number)


@dg.asset(io_manager_key="path_manager")
def path_source():
    return 4


@dg.asset(io_manager_key="path_manager")
def path_user(context: dg.AssetExecutionContext, path_source):
    context.log.info(f"got {path_source}")
    return path_source + 1


defs = dg.Definitions(
    assets=[path_source, path_user],
    jobs=[
        chain("default_manager"),
        chain("own_manager", io_manager=fixed(OwnManager())),
        chain("handling_raises", io_manager=fixed(Raising(handling=OSError("disk is full")))),
        chain("loading_raises", io_manager=fixed(Raising(loading=OSError("cannot read")))),
        chain("handling_fails", io_manager=fixed(Raising(handling=dg.Failure("no room", metadata={"free": 0})))),
        chain("handling_retries", io_manager=fixed(RetryingOnce())),
        chain("in_memory", io_manager=dg.mem_io_manager),
        chain("yielding_manager", io_manager=fixed(Yielding())),
        chain("telling_context", io_manager=fixed(Telling())),
        chain("logging_manager", io_manager=fixed(Logging())),
        chain("pydantic_manager", io_manager=Pydantic(prefix="p")),
        chain("manager_with_resource", io_manager=WithResource(keeper=Keeper(name="k"))),
        chain("needs_keeper_job", io_manager=needs_keeper, keeper=Keeper(name="old")),
        per_output,
        unpicklable,
        input_manager,
        input_manager_config,
        input_manager_raises,
        overriding_input,
        nothing,
        none_output,
        file_gone,
    ],
    resources={
        "own": fixed(OwnManager()),
        "yielding": fixed(Yielding()),
        "seven": seven,
        "from_config": from_config,
        "broken_input": broken_input,
        "reads_differently": reads_differently,
        "path_manager": fixed(PathBased(UPath(FOLDER))),
    },
    executor=dg.in_process_executor,
)
