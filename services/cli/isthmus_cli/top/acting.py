"""What a key does to a run, and the question before it."""

from typing import TYPE_CHECKING, ClassVar

from isthmus.v1.control_plane_pb2 import ReexecuteRunRequest, Run
from isthmus_client.errors import ClientError
from isthmus_client.resume import is_ended
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Label

from isthmus_cli.run_name import brief_id
from isthmus_cli.run_request import person
from isthmus_cli.view.run import target_text

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient


class Question(ModalScreen[bool]):
    """Asks before something is done that cannot be taken back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "dismiss(True)", "Yes"),
        ("n,escape", "dismiss(False)", "No"),
    ]
    CSS = """
    Question { align: center middle; }
    Question Vertical { width: auto; height: auto; border: round $warning; padding: 1 2; background: $surface; }
    Question Label { width: auto; }
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Show the question."""
        with Vertical():
            yield Label(self._text, markup=False)
            yield Label("y yes · n no", markup=False)


class Acting(Screen[None]):
    """A screen with a run that keys act upon."""

    def __init__(self, client: "ControlPlaneClient") -> None:
        super().__init__()
        self._client = client

    def chosen(self) -> Run | None:
        """Return the run that keys act upon; None where there is none."""
        raise NotImplementedError

    @work
    async def action_terminate(self) -> None:
        """Ask for the run's end, once somebody has said yes."""
        run = self.chosen()
        if run is None:
            return
        name = brief_id(run.request.run.run_id)
        if is_ended(run):
            self.notify(f"Run {name} has ended.", severity="warning")
            return
        if not await self.app.push_screen_wait(Question(f"Terminate run {name} of {target_text(run)}?")):
            return
        try:
            await self._client.terminate_run(run.request.run.run_id, requested_by=person())
        except ClientError as error:
            complain(self, error)
        else:
            self.notify(f"Run {name} is asked to end.")

    @work
    async def action_again(self) -> None:
        """Execute the run again, whole."""
        await self._execute_again(ReexecuteRunRequest.STRATEGY_ALL_STEPS)

    @work
    async def action_from_failure(self) -> None:
        """Execute again what of the run failed or never ran."""
        await self._execute_again(ReexecuteRunRequest.STRATEGY_FROM_FAILURE)

    async def _execute_again(self, strategy: "ReexecuteRunRequest.Strategy.ValueType") -> None:
        run = self.chosen()
        if run is None:
            return
        name = brief_id(run.request.run.run_id)
        if not is_ended(run):
            self.notify(f"Run {name} has not ended.", severity="warning")
            return
        request = ReexecuteRunRequest(parent_run_id=run.request.run.run_id, strategy=strategy, requested_by=person())
        try:
            again = await self._client.reexecute_run(request)
        except ClientError as error:
            complain(self, error)
        else:
            self.notify(f"Run {brief_id(again.request.run.run_id)} does again what {name} did.")


def complain(screen: Screen[None], error: ClientError) -> None:
    """Tell what was refused, and what to do about it."""
    screen.notify(f"{error} {error.remedy}".strip(), severity="error", timeout=10, markup=False)
