"""Whether it makes sense to wait for a location."""

from isthmus_agent.errors import LocationRefusedError, LocationUnavailableError
from isthmus_agent.failure import FailureNote
from isthmus_agent.locations.trouble import Breakdown
from isthmus_agent.locations.wanted import WantedLocation
from isthmus_agent.policy import Refused


def check_prospects(
    location: str,
    *,
    wanted: WantedLocation | None,
    last: Breakdown | None,
    is_fallback_coming: bool,
    has_waited: bool,
) -> None:
    """Raise if a location that does not serve will not come to, or not soon.

    Args:
        location: its name.
        wanted: what is wanted of it.
        last: what went wrong with that.
        is_fallback_coming: what served before is being started again.
        has_waited: there is no time left: raise in any case.

    Raises:
        LocationRefusedError: the policy does not allow it.
        LocationUnavailableError: it is not wanted here, or could not be loaded.
    """
    if wanted is None:
        raise LocationUnavailableError(location=location, problem="it is not one of the agent's locations")
    if isinstance(refused := wanted.verdict, Refused) and (has_waited or not is_fallback_coming):
        raise LocationRefusedError(location=location, rule=refused.rule, problem=refused.problem)
    is_hopeless = last is not None and last.is_load_failure and not is_fallback_coming
    if last is not None and (is_hopeless or has_waited):
        note = FailureNote(last.failure.error_class, last.failure.message, tuple(last.failure.stack))
        problem = f"its definitions could not be loaded ({note.error_class}: {note.message})"
        raise LocationUnavailableError(location=location, problem=problem, failure=note, cause=last.error)
    if has_waited:
        raise LocationUnavailableError(location=location, problem="it is still loading")
