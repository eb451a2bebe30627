"""Whether it makes sense to wait for a location."""

from isthmus_agent.errors import LocationRefusedError, LocationUnavailableError
from isthmus_agent.failure import FailureNote
from isthmus_agent.locations.candidates import Candidates
from isthmus_agent.policy.verdict import Refused


def check_prospects(location: str, candidates: Candidates, *, has_waited: bool) -> None:
    """Raise if a location that does not serve will not come to, or not soon.

    Args:
        location: its name.
        candidates: what it may be served by.
        has_waited: there is no time left: raise in any case.

    Raises:
        LocationRefusedError: the policy does not allow it.
        LocationUnavailableError: it is not wanted here, or could not be loaded.
    """
    wanted, is_fallback_coming = candidates.wanted, candidates.is_fallback_coming
    if wanted is None:
        raise LocationUnavailableError(location=location, problem="it is not one of the agent's locations")
    if isinstance(refused := wanted.location.verdict, Refused) and (has_waited or not is_fallback_coming):
        raise LocationRefusedError(location=location, rule=refused.rule, problem=refused.problem)
    last = wanted.trouble.last
    is_hopeless = wanted.cannot_load and not is_fallback_coming
    if last is not None and (is_hopeless or has_waited):
        note = FailureNote(last.failure.error_class, last.failure.message, tuple(last.failure.stack))
        problem = f"its definitions could not be loaded ({note.error_class}: {note.message})"
        raise LocationUnavailableError(location=location, problem=problem, failure=note, cause=last.error)
    if has_waited:
        raise LocationUnavailableError(location=location, problem="it is still loading")
