"""What can go wrong in the monitor, besides the store's and the broker's own errors."""


class MonitorError(Exception):
    """Root of everything that this package raises."""


class WebhookError(MonitorError):
    """A receiver did not take an alert this time."""

    def __init__(self, *, detail: str, is_final: bool = False, retry_after_s: float = 0.0) -> None:
        self.detail = detail
        #: The receiver said that it never will.
        self.is_final = is_final
        #: The receiver asked for this much patience.
        self.retry_after_s = retry_after_s
        super().__init__(f"The receiver did not take the alert: {detail}.")
