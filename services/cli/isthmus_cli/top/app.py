"""The application: runs, queue and agents of one deployment, live."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from isthmus.v1.control_plane_pb2 import ListRunsQuery, Run
from isthmus_client.errors import ClientError
from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static, TabbedContent, TabPane

from isthmus_cli.top.acting import Acting
from isthmus_cli.top.rows import RUN_COLUMNS, agents_text, queue_text, run_row
from isthmus_cli.top.run_screen import RunScreen
from isthmus_cli.top.table import LiveTable

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient

#: Runs that are listed.
_LISTED: Final = 100
#: How often ages go on, seconds.
_TICK_S: Final = 1.0
#: How often queue and agents are asked for, and a control plane that is away is tried again, seconds.
_LOOK_S: Final = 2.0


class Overview(Acting):
    """The newest runs, the queue, and the agents."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("r", "show('runs')", "Runs"),
        ("u", "show('queue')", "Queue"),
        ("a", "show('agents')", "Agents"),
        ("enter", "open", "Open"),
        ("t", "terminate", "Terminate"),
        ("e", "again", "Execute again"),
        ("f", "from_failure", "From failure"),
    ]

    def __init__(self, client: "ControlPlaneClient") -> None:
        super().__init__(client)
        self._runs: dict[str, Run] = {}
        # Kept, as what is told may come before the page is laid out, and while it is taken away.
        self._standing, self._queue, self._agents = (
            Static(id="standing", markup=False),
            Static(id="queue-text"),
            Static(id="agents-text"),
        )
        self._table = LiveTable(RUN_COLUMNS, name="run-table")

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        yield self._standing
        with TabbedContent(initial="runs"):
            with TabPane("Runs", id="runs"):
                yield self._table
            with TabPane("Queue", id="queue"), VerticalScroll():
                yield self._queue
            with TabPane("Agents", id="agents"), VerticalScroll():
                yield self._agents
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch."""
        self._say("connecting")
        self._table.focus()
        self.set_interval(_TICK_S, self._draw)
        self._watch_runs()
        self._watch_rest()

    def action_show(self, tab: str) -> None:
        """Show another tab."""
        self.query_one(TabbedContent).active = tab
        if tab == "runs":
            self._table.focus()

    def on_data_table_row_selected(self) -> None:
        """Open the run at the cursor."""
        self.action_open()

    def action_open(self) -> None:
        """Open the run at the cursor."""
        if run := self.chosen():
            self.app.push_screen(RunScreen(self._client, run))

    def chosen(self) -> Run | None:
        """Return the run at the cursor."""
        key = self._table.chosen
        return self._runs.get(key) if key is not None else None

    # -------------------------------------------------------------------------------------------------------- live

    @work
    async def _watch_runs(self) -> None:
        while True:
            try:
                async for page in self._client.watch_runs(ListRunsQuery(page_size=_LISTED)):
                    self._runs = {run.request.run.run_id: run for run in page.runs}
                    self._draw()
            except ClientError as error:
                self._say(f"What is shown may be old: {error}")
            await asyncio.sleep(_LOOK_S)

    @work
    async def _watch_rest(self) -> None:
        while True:
            try:
                queue, agents = await self._client.get_queue(), await self._client.list_agents()
            except ClientError as error:
                self._say(f"What is shown may be old: {error}")
            else:
                self._queue.update(queue_text(queue))
                self._agents.update(agents_text(agents))
                lost = "" if self._client.is_connected else " · not connected"
                waiting, under_way = queue.depth, queue.under_way
                self._say(
                    f"{self._client.address} · {waiting} waiting · {under_way} under way · {len(agents)} agents{lost}"
                )
            await asyncio.sleep(_LOOK_S)

    def _draw(self) -> None:
        now = datetime.now(UTC)
        self._table.show((run_id, run_row(run, now=now)) for run_id, run in self._runs.items())

    def _say(self, text: str) -> None:
        self._standing.update(text)


class TopApp(App[None]):
    """Shows one deployment until somebody leaves."""

    TITLE = "isthmus top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Quit")]
    CSS = """
    #standing, #head { height: auto; padding: 0 1; background: $boost; }
    LiveTable, RichLog { height: 1fr; }
    """

    def __init__(self, client: "ControlPlaneClient") -> None:
        super().__init__()
        self._client = client

    def get_default_screen(self) -> Screen[None]:
        """Begin with the overview."""
        return Overview(self._client)
