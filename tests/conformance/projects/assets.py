"""Assets of every kind."""

import dagster as dg


@dg.asset(key_prefix="chained", name="first")
def first():
    return 1


@dg.asset(key_prefix="chained", name="middle", ins={"first": dg.AssetIn(key=["chained", "first"])})
def middle(context: dg.AssetExecutionContext, first):
    context.log.info(f"first is {first}")
    return first + 1


@dg.asset(key=["chained", "last"], deps=[["chained", "middle"]])
def last(context: dg.AssetExecutionContext):
    context.add_output_metadata({"rows": 3})


@dg.asset
def telling(context: dg.AssetExecutionContext):
    context.add_output_metadata(
        {
            "text": "x",
            "url": dg.MetadataValue.url("https://example.com/a?b=c"),
            "path": dg.MetadataValue.path("/there/file"),
            "notebook": dg.MetadataValue.notebook("/there/book.ipynb"),
            "json": {"a": [1, 2.5, None, {"b": True}]},
            "list": [1, 2],
            "markdown": dg.MetadataValue.md("# title\n*x*"),
            "artifact": dg.MetadataValue.python_artifact(dg.AssetKey),
            "float": 1.25,
            "nan": float("nan"),
            "infinite": float("inf"),
            "int": 3,
            "zero": 0,
            "negative": -(2**40),
            "edge": 2**63 - 1,
            "big": 2**70,
            "bool": False,
            "null": None,
            "timestamp": dg.MetadataValue.timestamp(1_700_000_000.5),
            "run": dg.MetadataValue.dagster_run("some-run"),
            "job": dg.MetadataValue.job("some_job", "some_location"),
            "asset": dg.MetadataValue.asset(dg.AssetKey(["a", "b"])),
            "key": dg.AssetKey("plain"),
            "empty": "",
            "label with spaces and ü": "y",
            "table": dg.MetadataValue.table(
                [dg.TableRecord({"name": "a", "size": 1}), dg.TableRecord({"name": "b", "size": None})],
                dg.TableSchema([dg.TableColumn("name", "string"), dg.TableColumn("size", "float")]),
            ),
        }
    )


@dg.asset
def with_result():
    return dg.MaterializeResult(
        metadata={"rows": 3, "share": 0.5}, data_version=dg.DataVersion("v7"), tags={"team": "core", "flag": ""}
    )


@dg.asset
def with_value():
    return dg.MaterializeResult(value=5, metadata={"rows": 1})


@dg.asset
def reads_value(context: dg.AssetExecutionContext, with_value):
    context.log.info(f"{with_value}")


@dg.multi_asset(specs=[dg.AssetSpec("result_a"), dg.AssetSpec("result_b", deps=["result_a"])])
def results():
    yield dg.MaterializeResult(asset_key="result_a", metadata={"rows": 1})
    yield dg.MaterializeResult(asset_key="result_b", metadata={"rows": 2})


@dg.multi_asset(outs={"always": dg.AssetOut(), "sometimes": dg.AssetOut(is_required=False)})
def choosy():
    yield dg.Output(1, "always", metadata={"chosen": True})


@dg.asset
def behind_sometimes(sometimes):
    return sometimes


@dg.multi_asset(
    outs={"inner_a": dg.AssetOut(), "inner_b": dg.AssetOut(description="the second")},
    internal_asset_deps={"inner_a": set(), "inner_b": {dg.AssetKey("inner_a")}},
)
def inner():
    return 1, 2


@dg.op
def give():
    return 1


@dg.op
def double(context: dg.OpExecutionContext, number):
    context.log.info("doubling")
    return number * 2


@dg.graph_asset
def of_graph():
    return double(give())


@dg.graph_multi_asset(outs={"left_of_graph": dg.AssetOut(), "right_of_graph": dg.AssetOut()})
def two_of_graph():
    number = give()
    return {"left_of_graph": number, "right_of_graph": double(number)}


external = dg.AssetSpec("external", metadata={"of": "others"})


@dg.asset(deps=[external, "nowhere_defined"])
def on_external():
    return 1


@dg.asset(code_version="3")
def versioned():
    return dg.Output(1, data_version=dg.DataVersion("own"))


@dg.asset(code_version="4")
def on_versioned(versioned):
    return versioned


@dg.asset
def failing():
    raise ValueError("no rows")


@dg.asset
def behind_failing(failing):
    return failing


@dg.asset
def failing_softly():
    raise dg.Failure("too few", metadata={"rows": 1})


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
def retried(context: dg.AssetExecutionContext):
    if context.retry_number == 0:
        raise ValueError("at first")
    return 1


@dg.observable_source_asset
def watched():
    return dg.DataVersion("seen")


@dg.observable_source_asset
def watched_closely():
    return dg.ObserveResult(data_version=dg.DataVersion("seen"), metadata={"rows": 4}, tags={"a": "b"})


@dg.multi_observable_source_asset(specs=[dg.AssetSpec("seen_a"), dg.AssetSpec("seen_b")])
def seen():
    yield dg.ObserveResult(asset_key="seen_a", metadata={"rows": 1})
    yield dg.ObserveResult(asset_key="seen_b", data_version=dg.DataVersion("b"))


@dg.asset
def logs_observation(context: dg.AssetExecutionContext):
    context.log_event(dg.AssetObservation("logs_observation", metadata={"free": 3}))
    context.log_event(dg.AssetObservation("external", description="seen", metadata={"rows": 1}))
    context.log_event(dg.AssetMaterialization("elsewhere", partition="p", metadata={"rows": 2}))


@dg.asset
def without_value() -> None: ...


@dg.asset(deps=[without_value])
def after_without_value() -> None: ...


@dg.asset
def with_output() -> dg.Output[int]:
    return dg.Output(4, metadata={"rows": 4}, tags={"of": "output"})


@dg.asset
def on_output(context: dg.AssetExecutionContext, with_output: int):
    context.log.info(f"{with_output}")
    return with_output


@dg.asset
def never():
    return 1


@dg.asset
def on_never(never):
    return never


@dg.asset(
    description="Decorated.",
    tags={"domain": "sales"},
    owners=["team:core", "a@example.com"],
    kinds={"python", "csv"},
    group_name="own",
    metadata={"of": "definition"},
)
def decorated():
    return 1


@dg.asset(deps=[with_output])
def asks_context(context: dg.AssetExecutionContext):
    context.log.info(
        f"{context.asset_key.to_user_string()} {context.run.job_name} {context.op_execution_context.op.name}"
    )
    context.log.info(f"{sorted(key.to_user_string() for key in context.selected_asset_keys)}")
    context.log.info(f"{context.has_partition_key} {context.retry_number} {context.job_def.name} {context.run.run_id}")


class Rows(dg.Config):
    rows: int


@dg.asset(tags={"pick": "me"})
def with_config(config: Rows):
    return dg.MaterializeResult(metadata={"rows": config.rows})


@dg.asset(tags={"pick": "me"})
def picked(): ...


@dg.success_hook
def hook(context):
    context.log.info(f"hook for {context.op.name}")


@dg.multi_asset(specs=[dg.AssetSpec("table")])
def makes_table():
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(
                "id",
                "int",
                "The id.",
                dg.TableColumnConstraints(nullable=False, unique=True, other=["> 0"]),
                tags={"pii": ""},
            ),
            dg.TableColumn("name"),
        ],
        constraints=dg.TableConstraints(other=["few rows"]),
    )
    lineage = dg.TableColumnLineage({"id": [dg.TableColumnDep(asset_key="with_output", column_name="number")]})
    return dg.MaterializeResult(
        metadata={"dagster/column_schema": schema, "dagster/column_lineage": lineage, "dagster/row_count": 374}
    )


@dg.asset
def referenced(context):
    context.add_output_metadata(
        {
            "dagster/code_references": dg.CodeReferencesMetadataValue(
                code_references=[
                    dg.LocalFileCodeReference(file_path="/there/file.py", line_number=3, label="here"),
                    dg.UrlCodeReference(url="https://example.com/file.py", label="there"),
                ]
            )
        }
    )


defs = dg.Definitions(
    assets=[
        first,
        middle,
        last,
        telling,
        with_result,
        with_value,
        reads_value,
        results,
        choosy,
        behind_sometimes,
        inner,
        of_graph,
        two_of_graph,
        external,
        on_external,
        versioned,
        on_versioned,
        failing,
        behind_failing,
        failing_softly,
        retried,
        watched,
        watched_closely,
        seen,
        logs_observation,
        without_value,
        after_without_value,
        with_output,
        on_output,
        never,
        on_never,
        decorated,
        asks_context,
        with_config,
        picked,
        makes_table,
        referenced,
    ],
    jobs=[
        dg.define_asset_job("chain", dg.AssetSelection.key_prefixes("chained"), tags={"team": "core"}),
        dg.define_asset_job("job_with_config", [with_config], config=dg.RunConfig(ops={"with_config": Rows(rows=12)})),
        dg.define_asset_job("job_with_hooks", [picked, with_output], hooks={hook}, tags={"own": "tag"}),
        dg.define_asset_job(
            "job_by_tag",
            dg.AssetSelection.tag("pick", "me"),
            config={"ops": {"with_config": {"config": {"rows": 1}}}},
        ),
    ],
    executor=dg.in_process_executor,
)
