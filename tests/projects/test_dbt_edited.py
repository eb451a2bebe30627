"""`isthmus dev` on a dbt project whose models are edited."""

from pathlib import Path

import pytest
from contract.cli.dev_kit import isthmus, running_dev
from projects.environments import python_of
from projects.project import projects

pytestmark = pytest.mark.timeout(400)

_MODEL = "select count(*) as total from {{ ref('raw_orders') }}\n"


async def test_a_model_that_was_saved_is_an_asset_of_the_next_launch(tmp_path: Path) -> None:
    (project,) = [project for project in projects() if project.name == "dbt_without_manifest"]
    folder = project.copy_to(tmp_path / "shop_code")
    manifest = folder / "shop/target/manifest.json"
    assert not manifest.exists()
    async with running_dev(folder, "--python", str(python_of(project.folder))) as dev:
        await dev.read_until("Ctrl-C stops everything", within=180)
        before = manifest.read_text()
        assert "model.shop.newest" not in before

        (folder / "shop/models/newest.sql").write_text(_MODEL)
        await dev.read_until("reloaded shop_code in ", within=120)
        assert "model.shop.newest" in manifest.read_text()
        code, out, err = await isthmus(folder, "run", "launch", "--assets", "+newest", "--watch")
        assert (code, "SUCCEEDED" in out) == (0, True), out + err

        (folder / "shop/models/newest.sql").unlink()
        await dev.read_until("reloaded shop_code in ", within=120)
        code, _, err = await isthmus(folder, "run", "launch", "--assets", "newest")
        assert code != 0
        assert "newest" in err
        assert await dev.end() == 0
