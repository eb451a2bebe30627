"""A run leaves the history under Isthmus that it leaves under Dagster."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance.case import Case, Group, slug
from conformance.cases import GROUPS
from conformance.comparison import Comparison, dagster_version, execute, is_there
from support.rabbitmq import Rabbit
from support.system import Operator, System, running_system

#: The first case of a group waits for all of them to be executed.
pytestmark = pytest.mark.timeout(240)

_CASES = [pytest.param(group, case, id=f"{group.name}: {case.name}") for group in GROUPS for case in group.cases]


class Comparisons:
    """Executes a group when its first case is asked for, with those of its cases that are to be tested."""

    def __init__(self, system: System, *, folder: Path, selected: frozenset[tuple[str, str]]) -> None:
        self._system = system
        self._folder = folder
        self._selected = selected
        self._done: dict[str, Comparison | Exception] = {}

    def of(self, group: Group) -> Comparison:
        """Return what both sides told of a group's cases.

        What kept a group from being executed is raised for its first case; the others are skipped, for they were not tried.
        """
        is_first = group.name not in self._done
        if is_first:
            self._done[group.name] = self._tried(group)
        done = self._done[group.name]
        if isinstance(done, Comparison):
            return done
        if is_first:
            raise done
        pytest.skip(f"the group could not be executed, as its first case tells: {done}")

    def _tried(self, group: Group) -> Comparison | Exception:
        try:
            return asyncio.run(self._execute(group))
        except Exception as error:  # noqa: BLE001  # told by the first case, whatever it is
            return error

    async def _execute(self, group: Group) -> Comparison:
        cases = [case for case in group.cases if (group.name, case.name) in self._selected and is_there(case)]
        async with self._system.client() as client:
            operator = Operator(self._system, client)
            if not self._done:
                await operator.enroll_agent()
            return await execute(group, cases=cases, operator=operator, folder=self._folder / slug(group))


@pytest.fixture(scope="module")
def comparisons(
    request: pytest.FixtureRequest, rabbitmq: Rabbit, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Comparisons]:
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    selected = {(one["group"].name, one["case"].name) for one in parameters if {"group", "case"} <= one.keys()}
    folder = tmp_path_factory.mktemp("system")
    database_url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    with running_system(broker_url=rabbitmq.take_url(), database_url=database_url, folder=folder) as system:
        yield Comparisons(system, folder=tmp_path_factory.mktemp("homes"), selected=frozenset(selected))


@pytest.mark.parametrize(("group", "case"), _CASES)
def test_a_run_leaves_the_history_that_it_leaves_under_dagster(
    comparisons: Comparisons, group: Group, case: Case
) -> None:
    if not is_there(case):
        pytest.skip(f"Dagster {dagster_version()} has no such thing before {case.since}")
    differences = comparisons.of(group).differences(case)
    assert not differences, "\n".join(["", *differences])
