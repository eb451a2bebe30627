"""What a key does to a run, and the question before it."""

from typing import TYPE_CHECKING, ClassVar

from isthmus.v1.control_plane_pb2 import ReexecuteRunRequest, Run
from isthmus_client.errors import ClientError
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Label

from isthmus_cli.run_name import brief_id
from isthmus_cli.run_request import person
from isthmus_cli.top.rows import ENDED
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


async def terminate(screen: Screen[None], client: "ControlPlaneClient", run: Run) -> None:
    """Ask for a run's end, once somebody has said yes."""
    name = brief_id(run.request.run.run_id)
    if run.state in ENDED:
        screen.notify(f"Run {name} has ended.", severity="warning")
        return
    if not await screen.app.push_screen_wait(Question(f"Terminate run {name} of {target_text(run)}?")):
        return
    try:
        await client.terminate_run(run.request.run.run_id, requested_by=person())
    except ClientError as error:
        complain(screen, error)
    else:
        screen.notify(f"Run {name} is asked to end.")


async def execute_again(screen: Screen[None], client: "ControlPlaneClient", run: Run, *, is_from_failure: bool) -> None:
    """Launch a run that does again what an ended one did, or what of it failed."""
    name = brief_id(run.request.run.run_id)
    if run.state not in ENDED:
        screen.notify(f"Run {name} has not ended.", severity="warning")
        return
    strategy = ReexecuteRunRequest.STRATEGY_FROM_FAILURE if is_from_failure else ReexecuteRunRequest.STRATEGY_ALL_STEPS
    request = ReexecuteRunRequest(parent_run_id=run.request.run.run_id, strategy=strategy, requested_by=person())
    try:
        again = await client.reexecute_run(request)
    except ClientError as error:
        complain(screen, error)
    else:
        screen.notify(f"Run {brief_id(again.request.run.run_id)} does again what {name} did.")


def complain(screen: Screen[None], error: ClientError) -> None:
    """Tell what was refused, and what to do about it."""
    screen.notify(f"{error} {error.remedy}".strip(), severity="error", timeout=10, markup=False)
