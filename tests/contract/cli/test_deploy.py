"""`isthmus deploy` against a real `isthmus dev`: what changes, what does not load, and the way back."""

import json
from pathlib import Path

import pytest
from contract.cli.dev_kit import DEFINITIONS, isthmus, running_dev

pytestmark = pytest.mark.timeout(240)

FILE = """
variables: [ETL_FILE]
defaults:
  working_directory: FOLDER
  load_timeout_s: 60
locations:
  - name: etl
    file: ${ETL_FILE}
concurrency: {max_runs: 7}
alerts:
  - {name: nightly, on: run.failed, to: [{apprise: "json://${ISTHMUS_ALERT_SINK}/${ETL_FILE}"}]}
"""
BROKEN = "import dagster as dg\n\nimport nothing_of_the_kind\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "greetings"
    folder.mkdir()
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "first.py").write_text(DEFINITIONS)
    (folder / "second.py").write_text(DEFINITIONS.replace("greeting", "farewell"))
    (folder / "broken.py").write_text(BROKEN)
    (folder / "etl.yaml").write_text(FILE.replace("FOLDER", str(folder)))
    return folder


async def keep_policy_by_hand(project: Path) -> None:
    """Have a policy that the file does not name."""
    (project / "more.yaml").write_text("policies: [{name: by-hand, on: disk.low, to: [{apprise: 'json://x'}]}]")
    assert (await isthmus(project, "alert", "sync", "more.yaml"))[0] == 0


async def test_a_deployment_becomes_what_a_file_says_and_goes_back(project: Path) -> None:
    async def deploy(file: str, *words: str) -> tuple[int, str, str]:
        return await isthmus(project, "deploy", "etl.yaml", *words, additional={"ETL_FILE": file})

    async with running_dev(project) as dev:
        await dev.read_until("Ctrl-C stops everything")

        code, out, err = await deploy("first.py", "--dry-run")
        assert (code, "+ location etl: added" in out) == (0, True), out + err
        assert "= location greetings: left alone, it is not in the file (--prune removes it)" in out
        assert "concurrency.max_runs: 7" in out
        assert "+ alert policy nightly: added" in out
        assert (await isthmus(project, "location", "show", "etl"))[0] != 0

        code, out, err = await deploy("first.py", "--commit", "c1")
        assert (code, "✓ etl serves generation 1" in out) == (0, True), out + err
        code, out, err = await deploy("first.py", "--commit", "c1")
        assert (code, "✓ etl serves generation 1" in out) == (0, True), out + err
        assert "= location etl: unchanged" in err
        assert "= alert policy nightly: unchanged" in err
        assert "its definitions are those of before" in out

        code, out, err = await deploy("second.py", "--commit", "c2", "--json")
        document = json.loads(out)
        assert (code, document["plan"]["locations"][0]["change"]) == (0, "changed"), err
        hidden = {"name": "to", "before": "(hidden)", "after": "(hidden)"}
        assert document["plan"]["alerts"] == [{"name": "nightly", "change": "changed", "fields": [hidden]}]
        jobs = {(it["name"], it["change"]) for it in document["definitions"]["etl"] if it["kind"] == "job"}
        assert jobs == {("farewell", "added"), ("greeting", "removed")}

        await keep_policy_by_hand(project)
        code, out, err = await deploy("broken.py", "--prune", "--commit", "c3")
        assert code == 1, out + err
        assert "ModuleNotFoundError: No module named 'nothing_of_the_kind'" in out
        assert "Generation 2 goes on serving" in out
        # Nothing is taken away by a deploy that came to nothing.
        assert "Not removed, since not all of the file serves: location greetings, alert policy by-hand." in err

        code, out, err = await isthmus(project, "location", "rollback", "etl")
        assert (code, "✓ etl serves generation 4" in out) == (0, True), out + err
        _, out, _ = await isthmus(project, "location", "history", "etl", "-o", "wide")
        assert [line.split()[0] for line in out.splitlines()] == ["GENERATION", "4", "3", "2", "1"]
        assert "c2" in out.splitlines()[1]

        code, out, err = await deploy("second.py", "--prune", "--commit", "c2")
        assert (code, "removed location greetings\nremoved alert policy by-hand" in out) == (0, True), out + err
        _, out, _ = await isthmus(project, "alert", "list", "--json")
        assert [it["policy"]["name"] for it in json.loads(out)] == ["nightly"]
        assert await dev.end() == 0


async def test_what_cannot_be_deployed_is_said_before_anything_is(project: Path) -> None:
    async with running_dev(project) as dev:
        await dev.read_until("Ctrl-C stops everything")
        code, _, err = await isthmus(project, "deploy", "etl.yaml")
        assert (code, "variables: ETL_FILE is not set in the environment" in err) == (2, True), err
        text = (project / "etl.yaml").read_text()
        (project / "etl.yaml").write_text(
            text.replace("concurrency:", "  - {name: ml, module: 'not a module'}\nconcurrency:")
        )
        code, _, err = await isthmus(project, "deploy", "etl.yaml", additional={"ETL_FILE": "first.py"})
        assert (code, "location ml cannot be applied:" in err) == (2, True), err
        assert "settings.source.module" in err
        (project / "etl.yaml").write_text(text.replace("run.failed", "run.faled"))
        code, _, err = await isthmus(project, "deploy", "etl.yaml", additional={"ETL_FILE": "first.py"})
        assert (code, "line 11, alerts[0].on[0]:" in err) == (2, True), err
        assert "run.failed" in err
        _, out, _ = await isthmus(project, "location", "list", "--json")
        assert [it["settings"]["name"] for it in json.loads(out)] == ["greetings"]
        assert await dev.end() == 0


async def test_a_branch_is_made_deployed_to_and_deleted(project: Path) -> None:
    async with running_dev(project) as dev:
        await dev.read_until("Ctrl-C stops everything")
        made = await isthmus(
            project, "branch", "create", "pr-17", "--expires", "7d", "--commit", "c1", "--url", "https://example.org/17"
        )
        assert made[0] == 0, made
        assert "Deploy to it: isthmus --deployment default--pr-17 deploy" in made[2]
        own = ("--deployment", "default--pr-17")
        code, out, err = await isthmus(project, *own, "deploy", "etl.yaml", additional={"ETL_FILE": "second.py"})
        assert (code, "✓ etl serves generation 1" in out) == (0, True), out + err
        code, out, err = await isthmus(project, *own, "run", "launch", "etl", "farewell")
        assert code == 0, out + err
        _, out, _ = await isthmus(project, "location", "list", "--json")
        assert [it["settings"]["name"] for it in json.loads(out)] == ["greetings"]
        _, out, _ = await isthmus(project, "branch", "list", "-o", "wide")
        assert "default--pr-17" in out
        assert "https://example.org/17" in out
        _, out, _ = await isthmus(project, "branch", "show", "pr-17")
        assert "agents     local" in out
        code, out, err = await isthmus(project, "branch", "delete", "pr-17", "--end-runs")
        assert (code, "Deleted branch pr-17: nothing of default--pr-17 is left." in err) == (0, True), out + err
        assert (await isthmus(project, "branch", "list"))[1] == ""
        code, _, err = await isthmus(project, "branch", "show", "pr-18")
        assert (code, "there is no branch 'pr-18'" in err) == (4, True), err
        code, _, err = await isthmus(project, "branch", "create", "Feature/One")
        assert (code, "try 'feature-one'" in err) == (2, True), err
        code, _, err = await isthmus(project, "branch", "create", "late", "--expires", "soon")
        assert (code, "Write it as in 30s, 15m, 2h or 1d." in err) == (2, True), err
        assert await dev.end() == 0
