"""Every way in which a question to the control plane can fail."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One fault of a request: a path into it, and what to do about it."""

    field: str
    description: str


class ClientError(Exception):
    """Root of this package's errors.

    `str(error)` says what failed; `remedy` says what to do now and may be empty.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class TransientError(ClientError):
    """The same call may succeed later."""


class PermanentError(ClientError):
    """The same call will fail again until something is changed."""


class UnavailableError(TransientError):
    """The control plane cannot be reached, or cannot reach whom it would have to ask."""

    def __init__(self, message: str, *, address: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.address = address

    @classmethod
    def unreachable(cls, address: str, *, detail: str) -> "UnavailableError":
        """Build the error of a control plane that does not answer at all."""
        return cls(
            f"No control plane answers at {address}: {detail}",
            address=address,
            remedy="Start one with `isthmus dev`, or name its address with --server or ISTHMUS_SERVER.",
        )


class DeadlineError(TransientError):
    """The control plane took the call and did not answer in time."""

    def __init__(self, method: str, *, detail: str, remedy: str = "") -> None:
        super().__init__(f"There was no answer in time: {detail}", remedy=remedy or "Try again; it is safe to repeat.")
        self.method = method


class InvalidRequestError(PermanentError):
    """The request is not valid; `violations` name each fault."""

    def __init__(self, message: str, *, violations: tuple[Violation, ...] = ()) -> None:
        lines = [f"  {fault.field or 'request'}: {fault.description}" for fault in violations]
        super().__init__("\n".join(["The request is not valid:", *lines]) if lines else message)
        self.violations = violations


class NotFoundError(PermanentError):
    """What the request names does not exist."""

    def __init__(self, message: str, *, kind: str, name: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.kind = kind
        self.name = name


class ConflictError(PermanentError):
    """The present state does not allow the request."""


class AccessDeniedError(PermanentError):
    """The caller may not do this."""


class UnauthenticatedError(AccessDeniedError):
    """The control plane asks for a token, and got none or another one."""

    def __init__(self, address: str, *, source: str | None) -> None:
        if source is None:
            text = f"The control plane at {address} asks for a token, and there is none for it here."
            remedy = (
                "Call it as the user who started it, or name its token with ISTHMUS_API_TOKEN, or a file that holds it "
                "with ISTHMUS_API_TOKEN_FILE."
            )
        else:
            text = f"The control plane at {address} does not accept the token from {source}."
            remedy = (
                "Take the token that this control plane was started with, or the file that holds it, or none of both."
            )
        super().__init__(text, remedy=remedy)
        self.address = address


class TokenError(PermanentError):
    """A token cannot be used, or the file that should hold it can be neither read nor made."""


class UnsupportedCallError(PermanentError):
    """The control plane is older than this client and does not know the call."""

    def __init__(self, method: str, *, address: str) -> None:
        super().__init__(
            f"The control plane at {address} is older than what asks it, and does not know the question.",
            remedy="Compare versions with `isthmus version`, then update the control plane.",
        )
        self.method = method


class ServerFaultError(PermanentError):
    """The control plane failed while it answered."""
