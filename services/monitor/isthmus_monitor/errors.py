"""What can go wrong in the monitor, besides the store's and the broker's own errors."""

from collections.abc import Sequence


class MonitorError(Exception):
    """Root of everything that this package raises."""


class SettingsError(MonitorError):
    """Settings are missing or wrong; the message has a line for each, with what to do."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("The monitor cannot start with these settings:\n" + "\n".join(f"  {it}" for it in faults))


class WebhookError(MonitorError):
    """A receiver did not take an alert this time."""

    def __init__(self, *, detail: str, is_final: bool = False, retry_after_s: float = 0.0) -> None:
        self.detail = detail
        #: The receiver said that it never will.
        self.is_final = is_final
        #: The receiver asked for this much patience.
        self.retry_after_s = retry_after_s
        super().__init__(f"The receiver did not take the alert: {detail}.")
