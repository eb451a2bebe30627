"""One run: its steps as they run, its events, and its output."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from isthmus.v1.control_plane_pb2 import Run
from isthmus.v1.telemetry_pb2 import LogChunk
from isthmus_client.errors import ClientError
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize
from textual.widgets import Footer, RichLog, Static, TabbedContent, TabPane

from isthmus_cli.logs import gap_text, streams_of
from isthmus_cli.terminal import OutputFilter
from isthmus_cli.top.acting import Acting, complain
from isthmus_cli.top.rows import STEP_COLUMNS, painted, run_head, step_rows
from isthmus_cli.top.table import LiveTable
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.timeline import RunTimeline
from isthmus_cli.watch import told_lines

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient

#: How often durations go on, seconds.
_TICK_S: Final = 1.0
#: How long many events may gather before the tables show them, seconds: a thousand steps end in one moment.
_GATHER_S: Final = 0.1
#: Lines of events, and of output, that are kept to scroll back to.
_KEPT_LINES: Final = 10_000


class RunScreen(Acting):
    """Watches one run until it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "app.pop_screen", "Back"),
        ("s", "show('steps')", "Steps"),
        ("v", "show('events')", "Events"),
        ("l", "show('output')", "Output"),
        ("t", "terminate", "Terminate"),
        ("e", "again", "Execute again"),
        ("f", "from_failure", "From failure"),
    ]

    def __init__(self, client: "ControlPlaneClient", run: Run) -> None:
        super().__init__(client)
        self._run_id = run.request.run.run_id
        self._timeline = RunTimeline(run=run)
        # Kept, as what is told may come before the page is laid out, and while it is taken away.
        self._head = Static(id="head")
        self._table = LiveTable(STEP_COLUMNS, name="step-table")
        self._events = RichLog(id="event-log", max_lines=_KEPT_LINES, wrap=True)
        self._output = RichLog(id="output-log", max_lines=_KEPT_LINES, wrap=True)

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        yield self._head
        with TabbedContent(initial="steps"):
            with TabPane("Steps", id="steps"):
                yield self._table
            with TabPane("Events", id="events"):
                yield self._events
            with TabPane("Output", id="output"):
                yield self._output
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch."""
        self._draw()
        self.set_interval(_TICK_S, self._draw)
        self._watch()
        self._follow_output()

    def on_tabbed_content_tab_activated(self, event: TabbedContent.TabActivated) -> None:
        """Tell a log that is shown its size: it holds back its lines until it hears one, and is not always told."""
        for log in event.pane.query(RichLog):
            self.call_after_refresh(lambda log=log: log.post_message(Resize(log.size, log.virtual_size)))

    def action_show(self, tab: str) -> None:
        """Show another part of the run."""
        self.query_one(TabbedContent).active = tab

    def chosen(self) -> Run:
        """Return the run, as it was told last."""
        return self._timeline.run

    # -------------------------------------------------------------------------------------------------------- live

    @work
    async def _watch(self) -> None:
        paint, is_due = Paint(is_colored=True), False

        def draw() -> None:
            nonlocal is_due
            is_due = False
            self._draw()

        try:
            async for update in self._client.watch_run(self._run_id):
                lines = told_lines(update, timeline=self._timeline, paint=paint, is_live=False)
                if lines:
                    self._events.write(painted(lines))
                if not is_due:
                    is_due = True
                    self.set_timer(_GATHER_S, draw)
        except ClientError as error:
            complain(self, error)

    @work
    async def _follow_output(self) -> None:
        filters: dict[tuple[int, str], _Lines] = {}
        try:
            async for chunk in self._client.stream_logs(self._run_id, streams=streams_of(None), follow=True):
                label = f"{chunk.step_key}: " if chunk.step_key else ""
                for line in filters.setdefault((chunk.stream, chunk.step_key), _Lines()).of(chunk):
                    self._output.write(Text(label, style="dim") + Text.from_ansi(line))
        except ClientError as error:
            self._output.write(painted([Paint(is_colored=True).yellow(str(error))]))

    def _draw(self) -> None:
        now = datetime.now(UTC)
        self._head.update(run_head(self._timeline.run, self._timeline, now=now))
        self._table.show(step_rows(self._timeline, now=now))


class _Lines:
    """Cuts the output of one file into lines as it comes."""

    def __init__(self) -> None:
        self._filter = OutputFilter()
        self._begun = ""

    def of(self, chunk: LogChunk) -> list[str]:
        """Return the lines that are whole by now."""
        if chunk.HasField("gap"):
            return [gap_text(chunk)]
        *whole, self._begun = (self._begun + self._filter.feed(chunk.data)).split("\n")
        return whole
