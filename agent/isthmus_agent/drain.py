"""Whether the agent takes new runs."""

from collections.abc import Callable


class DrainSwitch:
    """On from the moment somebody asks for it until the agent is restarted."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` when it is switched on."""
        self._on_change = on_change
        self._is_on = False

    @property
    def is_on(self) -> bool:
        """Whether no new runs are taken."""
        return self._is_on

    def switch_on(self) -> None:
        """Take no new runs; a second time changes nothing."""
        if not self._is_on:
            self._is_on = True
            self._on_change()
