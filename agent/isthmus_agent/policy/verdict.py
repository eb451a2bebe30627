"""What a judgement of the owner's policy comes to."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowed:
    """The policy has nothing against it."""


@dataclass(frozen=True)
class Refused:
    """The policy does not allow it."""

    #: The rule that was broken, by its name in the policy file.
    rule: str
    problem: str


Verdict = Allowed | Refused


def first_refusal(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the first refusal, or that all is allowed."""
    return next((verdict for verdict in verdicts if isinstance(verdict, Refused)), Allowed())
