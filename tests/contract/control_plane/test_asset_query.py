"""Asset queries select what Dagster's own language selects."""

from typing import Any

import pytest
from dagster import AssetKey, AssetOut, AssetSelection, AssetSpec, Definitions, asset, multi_asset
from isthmus_code_server.definitions.dagster.described.snapshot import location_snapshot
from isthmus_control_plane.validation import definition
from isthmus_control_plane.validation.asset_query import AssetQueryError, select

# Dagster warns of its own language that it may change.
pytestmark = pytest.mark.filterwarnings("ignore")

Paths = set[tuple[str, ...]]


def _made(key: list[str], *deps: list[str], group: str = "default", **more: Any) -> Any:
    decorate: Any = asset(key=key, deps=[AssetKey(dep) for dep in deps], group_name=group, **more)

    def made() -> None: ...

    return decorate(made)


@multi_asset(
    outs={
        "one": AssetOut(key=["has,comma"], is_required=False),
        "two": AssetOut(key=["s3://bucket", "x"], is_required=False),
        "three": AssetOut(key=["and more"], is_required=False),
    },
    can_subset=True,
)
def odd() -> tuple[None, None, None]:
    return None, None, None


DEFINED = Definitions(
    assets=[
        AssetSpec("outside"),
        _made(["raw", "orders"], ["outside"], group="raw", tags={"tier": "1"}, owners=["team:sales"]),
        _made(["raw", "people"], group="raw", kinds={"python"}),
        _made(["clean"], ["raw", "orders"], ["raw", "people"], group="core", tags={"tier": "2", "pii": ""}),
        _made(["report"], ["clean"], group="core", kinds={"python", "sql"}),
        _made(["mail"], ["report"], group="out", owners=["a@example.com"]),
        _made(["lonely"]),
        odd,
    ]
).get_repository_def()
KNOWN = definition.Definitions.of(location_snapshot(DEFINED)).assets


@pytest.mark.parametrize(
    "query",
    [
        "*",
        "clean",
        "*clean",
        "clean*",
        "+clean",
        "clean+",
        "++mail",
        "raw/orders++",
        "+clean+",
        "*clean*",
        'key:"raw/orders"',
        'key:"raw/orders"+',
        '+key:"clean"+',
        '1+key:"report"',
        '2+key:"mail"',
        'key:"raw/orders"+2',
        'key:"raw/*"',
        "key:raw/*",
        "key:*e*",
        "group:raw",
        'group:"core"',
        "tag:tier=1",
        'tag:"tier"="2"',
        "tag:pii",
        "kind:python",
        "kind:python and not kind:sql",
        'owner:"team:sales" or owner:"a@example.com"',
        "group:raw or group:out and kind:python",
        "not group:core",
        "(group:raw or group:out) and not kind:python",
        "+(group:core)",
        "(group:raw)+1",
        "sinks(*)",
        "roots(*)",
        "sinks(group:core)",
        "roots(group:core)",
        "roots(+key:mail)",
        'key:"has,comma"',
        'key:"s3://bucket/x"',
        'key:"and more"',
    ],
)
def test_a_query_selects_what_dagster_selects(query: str) -> None:
    theirs = AssetSelection.from_string(query).resolve(DEFINED.asset_graph)
    # Dagster finds external assets by wildcards, too, which nothing can materialize.
    made = theirs & DEFINED.asset_graph.materializable_asset_keys
    assert select(query, assets=KNOWN) == {tuple(key.path) for key in made}


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        ("has,comma", {("has,comma",)}),
        ("s3://bucket/x", {("s3://bucket", "x")}),
        ("and more", {("and more",)}),
        ('"and more",lonely', {("and more",), ("lonely",)}),
        ("raw/orders,clean", {("raw", "orders"), ("clean",)}),
        (" raw/orders , group:out ", {("raw", "orders"), ("mail",)}),
        ("clean,,lonely", {("clean",), ("lonely",)}),
        ("outside", {("outside",)}),
    ],
)
def test_keys_stand_for_themselves_and_commas_part_them(query: str, selected: Paths) -> None:
    assert select(query, assets=KNOWN) == selected


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "selects no asset"),
        ("group:nobody", "selects no asset"),
        ("klean", "there is no asset 'klean'"),
        ("status:failed", "nothing is known here of 'status'"),
        ("clean and", "the end of the text"),
        ("(clean", "is not closed"),
        ("clean report", "'report' is left over"),
        ("group:core=1", "only a tag has"),
        ("(" * 200 + "clean" + ")" * 200, "nested deeper"),
        ("not " * 200 + "clean", "nested deeper"),
    ],
)
def test_what_is_no_selection_says_why(query: str, why: str) -> None:
    with pytest.raises(AssetQueryError) as caught:
        select(query, assets=KNOWN)
    assert why in caught.value.why
