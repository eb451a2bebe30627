"""Who may come in, and what a browser is told that it may do."""

import pytest
from console.console_stand import TOKEN, console
from isthmus.v1.control_plane_pb2 import RunUpdate
from isthmus.v1.telemetry_pb2 import Event
from support.canned import CannedControlPlane, a_run

pytestmark = pytest.mark.usefixtures("token")

PAGES = (
    "/",
    "/runs",
    "/runs/r1",
    "/runs/r1/output",
    "/runs/r1/events/1",
    "/deployment",
    "/api",
    "/api/GetRun",
    "/nowhere",
)
STREAMS = ("/live", "/runs/live", "/runs/r1/live", "/runs/r1/output/live", "/session")


def plane() -> CannedControlPlane:
    made = CannedControlPlane(runs={"r1": a_run("r1")})
    made.explanation.run.CopyFrom(a_run("r1"))
    made.updates = [RunUpdate(position=1, event=Event(message="queued"))]
    return made


async def test_whoever_is_not_signed_in_is_shown_how_to_and_nothing_else() -> None:
    async with console(plane()) as shown:
        for path in PAGES:
            page = await shown.get(path)
            assert (page.status, page.text) == (303, ""), path
            assert page.headers["Location"].startswith("/sign-in?next=%2F")
        for path in STREAMS:
            assert (await shown.get(path, Accept="text/event-stream")).status == 401, path
        assert (await shown.post("/runs/r1/terminate", {})).status == 401
        assert shown.plane.asked == []


async def test_a_link_signs_one_browser_in_and_no_second_one() -> None:
    async with console(plane()) as shown:
        link = shown.link.removeprefix(shown.address)
        first = await shown.get(link)
        assert (first.status, first.headers["Location"]) == (303, "/")
        cookie = first.headers["Set-Cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert (await shown.get("/runs")).status == 200
        again = await shown.get(link)
        assert again.status == 403
        assert "used already" in again.text


@pytest.mark.parametrize("ticket", ["", "x", "a.1.b", "a.9999999999." + "0" * 64, "é.1.x"])
async def test_a_link_that_the_console_did_not_make_signs_nobody_in(ticket: str) -> None:
    async with console(plane()) as shown:
        page = await shown.get(f"/sign-in?ticket={ticket}")
        assert page.status in {200, 403}
        assert "Set-Cookie" not in page.headers


async def test_the_token_signs_in_and_leads_to_the_page_that_was_wanted() -> None:
    async with console(plane()) as shown:
        wrong = await shown.post("/sign-in", {"token": TOKEN[:-1], "next": "/runs"})
        assert (wrong.status, "Set-Cookie" in wrong.headers) == (403, False)
        assert "not the control plane&#39;s token" in wrong.text
        right = await shown.post("/sign-in", {"token": f" {TOKEN}\n", "next": "/runs?state=failed"})
        assert (right.status, right.headers["Location"]) == (303, "/runs?state=failed")


@pytest.mark.parametrize(
    "elsewhere",
    ["https://example.com/", "//example.com", "/\\example.com", "/\texample.com", "javascript:alert(1)", "/sign-in"],
)
async def test_signing_in_leads_to_no_other_site(elsewhere: str) -> None:
    async with console(plane()) as shown:
        page = await shown.post("/sign-in", {"token": TOKEN, "next": elsewhere})
        assert (page.status, page.headers["Location"]) == (303, "/")


async def test_a_changed_cookie_is_no_session() -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        name, proof = shown.cookie
        for value in ("", "x.y.z", proof[:-1] + ("0" if proof[-1] != "0" else "1")):
            shown.take_cookie(name, value)
            assert (await shown.get("/runs")).status == 303


async def test_a_name_that_points_at_this_machine_from_elsewhere_is_refused() -> None:
    async with console(plane(), hosts=("isthmus.example.com",)) as shown:
        await shown.sign_in()
        for host, status in (
            ("evil.example.com", 421),
            ("127.0.0.1.evil.example.com", 421),
            ("", 421),
            ("localhost:1", 200),
            ("[::1]:9", 200),
            ("ISTHMUS.example.com", 200),
        ):
            assert (await shown.get("/runs", Host=host)).status == status, host


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_from_elsewhere_changes_nothing(headers: dict[str, str]) -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        form_token = (await shown.get("/runs/r1")).form_token
        shown.plane.asked.clear()
        page = await shown.post("/runs/r1/terminate", {"form_token": form_token}, **headers)
        assert (page.status, shown.plane.asked) == (403, [])


async def test_a_form_without_the_sessions_proof_changes_nothing() -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        for data in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "é"}):
            page = await shown.post("/runs/r1/terminate", data)
            assert page.status == 403
            assert "Load the page again" in page.text
        assert shown.plane.asked == []


async def test_signing_out_ends_the_session_of_the_browser() -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        page = await shown.post("/sign-out", {"form_token": (await shown.get("/runs")).form_token})
        assert page.status == 303
        assert (await shown.get("/runs")).status == 303


async def test_a_restarted_console_knows_the_sessions_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        name, proof = shown.cookie
        port = shown.address.rpartition(":")[2]
    async with console(plane(), listen=f"127.0.0.1:{port}") as shown:
        shown.take_cookie(name, proof)
        assert (await shown.get("/runs")).status == 200
        monkeypatch.setenv("ISTHMUS_API_TOKEN", "another-token-of-sixteen")
        assert (await shown.get("/runs")).status == 303


async def test_every_answer_forbids_what_no_page_needs() -> None:
    async with console(plane()) as shown:
        refused = [await shown.get("/runs"), await shown.get("/runs", Host="evil.example.com")]
        await shown.sign_in()
        for page in [*refused, *[await shown.get(path) for path in (*PAGES, "/sign-in", "/static/none.js")]]:
            policy = page.headers["Content-Security-Policy"]
            assert "unsafe" not in policy
            assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Cache-Control"] == "no-store"


async def test_without_a_token_the_console_says_where_one_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISTHMUS_API_TOKEN")
    async with console(plane()) as shown:
        assert (await shown.get("/runs")).status == 303
        page = await shown.get("/sign-in")
        assert page.status == 503
        assert "ISTHMUS_API_TOKEN_FILE" in page.text
        assert (await shown.post("/sign-in", {"token": TOKEN})).status == 403
