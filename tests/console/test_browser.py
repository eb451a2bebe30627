"""What a person does with the console in a browser, on a real system with real runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console.browser import LOCATION, Shown, shown
from isthmus.v1.control_plane_pb2 import LaunchRunRequest
from playwright.sync_api import Page, expect
from support.rabbitmq import Rabbit

pytestmark = pytest.mark.timeout(300)

AXE = Path(__file__).parents[2] / "services/console/web/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="module")
def whole(rabbitmq: Rabbit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with shown(rabbitmq, tmp_path_factory.mktemp("shown")) as found:
        yield found


@pytest.fixture
def seen(whole: Shown) -> Iterator[Shown]:
    """The system and the browser; afterwards: no page asked another origin, and the browser complained of nothing."""
    whole.asked.clear()
    whole.complaints.clear()
    yield whole
    for page in whole.context.pages:
        page.close()
    assert [url for url in whole.asked if not url.startswith(whole.address)] == []
    assert whole.complaints == []


def launch(seen: Shown, job: str) -> str:
    return seen.client.launch_run(LaunchRunRequest(location=LOCATION, job_name=job)).request.run.run_id


def ended(seen: Shown, job: str) -> str:
    run_id = launch(seen, job)
    for _ in seen.client.watch_run(run_id):
        pass
    return run_id


def state_of(page: Page) -> Any:
    return page.locator("#run-head h1 .state")


def step(page: Page, key: str) -> Any:
    return page.locator(f".step button[title={key}]")


def test_a_run_is_found_watched_terminated_and_executed_again_by_keyboard_alone(seen: Shown) -> None:
    run_id = launch(seen, "endless")
    page = seen.open("/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/runs")
    page.keyboard.press("/")
    page.keyboard.type("endless")
    expect(page.locator(f"#run-{run_id}")).to_be_visible()
    page.wait_for_url("**/runs?text=endless")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{run_id}")
    expect(state_of(page)).to_have_text("running")
    expect(step(page, "wait_for_an_end")).to_contain_text("running")
    page.keyboard.press("t")
    expect(page.get_by_role("dialog")).to_contain_text("Terminate this run?")
    page.keyboard.press("Enter")
    expect(state_of(page)).to_have_text("canceled")
    page.keyboard.press("e")
    expect(page.get_by_role("dialog")).to_contain_text("Execute this run again?")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/runs/" in url and run_id not in url)
    expect(state_of(page)).to_have_text("running")
    expect(page.get_by_text("Executes again")).to_be_visible()
    again = page.url.rpartition("/")[2]
    assert seen.client.get_run(again).request.parent_run_id == run_id
    seen.client.terminate_run(again)


def test_the_sheet_of_keys_opens_and_closes_and_fields_keep_their_keys(seen: Shown) -> None:
    page = seen.open("/runs")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("g?r")
    expect(page.get_by_label("Text")).to_have_value("g?r")
    expect(page.get_by_text("No run is like that.")).to_be_visible()


def test_a_list_of_runs_and_the_overview_show_what_comes_without_being_loaded_again(seen: Shown) -> None:
    runs, overview = seen.open("/runs?job=broken"), seen.open("/")
    run_id = ended(seen, "broken")
    expect(runs.locator(f"#run-{run_id} .state")).to_have_text("failed")
    expect(overview.locator(f"#run-{run_id} .why")).to_contain_text("the rows cannot be read")


def test_filters_stand_in_the_address_and_the_way_back_leads_to_those_before(seen: Shown) -> None:
    good, bad = ended(seen, "nightly"), ended(seen, "broken")
    page = seen.open("/runs")
    page.get_by_label("failed").check()
    page.wait_for_url("**/runs?state=failed")
    expect(page.locator(f"#run-{bad}")).to_be_visible()
    expect(page.locator(f"#run-{good}")).to_have_count(0)
    page.go_back()
    expect(page.locator(f"#run-{good}")).to_be_visible()
    expect(page.get_by_label("failed")).not_to_be_checked()


def test_a_failed_step_leads_to_its_failure_with_the_cause_and_the_framework_folded_away(seen: Shown) -> None:
    page = seen.open(f"/runs/{ended(seen, 'broken')}")
    step(page, "break_down").click()
    detail = page.locator("#event")
    expect(detail).to_contain_text("ValueError: invalid literal for int()")
    expect(detail).to_contain_text("RuntimeError: the rows cannot be read")
    expect(detail.get_by_text("of the framework")).to_be_visible()
    page.wait_for_url("**?step=break_down")
    expect(page.locator(".event .step-key").first).to_have_text("break_down")
    page.reload()
    expect(page.locator("#event-step")).to_have_value("break_down")
    page.get_by_label("Level").select_option("40")
    expect(page.locator(".event")).to_have_count(1)


def test_output_comes_in_colour_with_its_progress_bar_at_its_end(seen: Shown) -> None:
    page = seen.open(f"/runs/{ended(seen, 'nightly')}/output?step=extract")
    output = page.get_by_role("log")
    expect(output.locator(".green")).to_have_text("green")
    expect(output.get_by_text("progress 100 %", exact=True)).to_be_visible()
    expect(output.get_by_text("progress 50 %")).to_have_count(0)
    page.get_by_label("stdout").uncheck()
    expect(output.locator(".green")).to_be_hidden()
    expect(output.get_by_text("to the other stream")).to_be_visible()


def test_texts_of_user_code_are_shown_and_never_executed(seen: Shown) -> None:
    run_id = ended(seen, "hostile")
    for path in ("/", "/runs", f"/runs/{run_id}", f"/runs/{run_id}/output"):
        page = seen.open(path)
        expect(page.get_by_text("document.title='owned'").first).to_be_visible()
        assert "owned" not in page.title()
        assert page.locator("main :is(script, img, svg, b, iframe), main [onerror], main [onload]").count() == 0
        assert page.locator("a[href^=javascript]").count() == 0
    page = seen.open(f"/runs/{run_id}")
    step(page, "attack").click()
    expect(page.locator("#event").get_by_text("<svg/onload").first).to_be_visible()
    assert "owned" not in page.title()


def test_a_page_rides_out_a_restart_of_the_console_and_ends_right(seen: Shown) -> None:
    run_id = launch(seen, "endless")
    page = seen.open(f"/runs/{run_id}")
    expect(state_of(page)).to_have_text("running")
    seen.console.end()
    expect(page.locator("#banner")).to_contain_text("What is shown may be old")
    seen.client.terminate_run(run_id)
    seen.console.start()
    expect(state_of(page)).to_have_text("canceled")
    expect(page.locator("#banner")).to_be_hidden()
    kinds = page.locator(".event .text").all_text_contents()
    assert len(kinds) == len({*kinds}), kinds


def test_a_browser_that_is_not_signed_in_sees_nothing_and_the_token_lets_it_in(seen: Shown) -> None:
    browser = seen.context.browser
    assert browser is not None
    with browser.new_context() as stranger:
        page = stranger.new_page()
        page.goto(f"{seen.address}/runs?state=failed")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.get_by_role("link", name="Runs").count() == 0
        page.get_by_label("Token").fill(seen.token)
        page.keyboard.press("Enter")
        page.wait_for_url("**/runs?state=failed")
        expect(page.get_by_role("heading", name="Runs")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_keeps_anybody_out(seen: Shown, theme: str) -> None:
    run_id = ended(seen, "hostile")
    page = seen.open("/runs")
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    found: dict[tuple[str, str], list[str]] = {}
    for path in (
        "/",
        "/runs",
        f"/runs/{run_id}",
        f"/runs/{run_id}/output",
        "/deployment",
        "/api",
        "/api/WatchRun",
        "/sign-in",
        "/nowhere",
    ):
        page.goto(seen.address + path)
        if path.endswith(run_id):
            step(page, "attack").click()
            expect(page.locator("#event")).to_contain_text("frames of the framework")
        found |= {(path, rule): nodes for rule, nodes in violations(page).items()}
    assert found == {}


def test_a_chosen_theme_goes_over_the_systems_and_is_kept(seen: Shown) -> None:
    page = seen.open("/runs")
    page.get_by_role("button", name="Theme: as the system has it").click()
    page.get_by_role("button", name="Theme: light").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.get_by_role("button", name="Theme: dark").click()
    expect(page.get_by_role("button", name="Theme: as the system has it")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_a_narrow_page_needs_no_scrolling_sideways(seen: Shown) -> None:
    run_id = ended(seen, "broken")
    page = seen.open("/runs")
    page.set_viewport_size({"width": 375, "height": 800})
    for path in ("/", "/runs", f"/runs/{run_id}", f"/runs/{run_id}/output", "/deployment", "/api", "/api/WatchRun"):
        page.goto(seen.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path


def violations(page: Page) -> dict[str, list[str]]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    result: dict[str, Any] = page.evaluate("axe.run()")
    return {one["id"]: [node["html"] for node in one["nodes"]] for one in result["violations"]}
