"""Colour on a terminal that wants it, plain text elsewhere."""

import os
import sys
from dataclasses import dataclass
from typing import Self, TextIO

from isthmus.v1.control_plane_pb2 import AgentState, RunState
from isthmus.v1.telemetry_pb2 import LocationPhase

from isthmus_cli.document import enum_text
from isthmus_cli.terminal import MARKS, UNMARK

_RUN_STATES = {
    RunState.RUN_STATE_SUCCEEDED: "32",
    RunState.RUN_STATE_FAILED: "31",
    RunState.RUN_STATE_CANCELED: "33",
    RunState.RUN_STATE_CANCELING: "33",
    RunState.RUN_STATE_STARTING: "36",
    RunState.RUN_STATE_RUNNING: "36",
}
_AGENT_STATES = {
    AgentState.AGENT_STATE_ONLINE: "32",
    AgentState.AGENT_STATE_DRAINING: "33",
    AgentState.AGENT_STATE_LOST: "31",
}
_PHASES = {
    LocationPhase.LOCATION_PHASE_SERVING: "32",
    LocationPhase.LOCATION_PHASE_FAILED: "31",
    LocationPhase.LOCATION_PHASE_PENDING: "33",
    LocationPhase.LOCATION_PHASE_STARTING: "36",
    LocationPhase.LOCATION_PHASE_IMPORTING: "36",
    LocationPhase.LOCATION_PHASE_PULLING: "36",
    LocationPhase.LOCATION_PHASE_ASLEEP: "2",
}


@dataclass(frozen=True)
class Paint:
    """Marks text with colours, which `isthmus_cli.terminal` turns into ANSI codes, or leaves it alone."""

    is_colored: bool = False

    @classmethod
    def of(cls, stream: TextIO = sys.stdout) -> Self:
        """Choose by what the stream is, honouring NO_COLOR and FORCE_COLOR."""
        if os.environ.get("NO_COLOR"):
            return cls(is_colored=False)
        return cls(is_colored=bool(os.environ.get("FORCE_COLOR")) or stream.isatty())

    def bold(self, text: str) -> str:
        """What the eye should find first."""
        return self._wrap(text, code="1")

    def dim(self, text: str) -> str:
        """What may be overlooked."""
        return self._wrap(text, code="2")

    def red(self, text: str) -> str:
        """What failed."""
        return self._wrap(text, code="31")

    def green(self, text: str) -> str:
        """What went well."""
        return self._wrap(text, code="32")

    def yellow(self, text: str) -> str:
        """What deserves a look."""
        return self._wrap(text, code="33")

    def cyan(self, text: str) -> str:
        """What is going on, and what to type."""
        return self._wrap(text, code="36")

    def run_state(self, state: "RunState.ValueType") -> str:
        """Name a run's state in its colour."""
        return self._wrap(enum_text(state, descriptor=RunState.DESCRIPTOR), code=_RUN_STATES.get(state, ""))

    def agent_state(self, state: "AgentState.ValueType") -> str:
        """Name an agent's state in its colour."""
        return self._wrap(enum_text(state, descriptor=AgentState.DESCRIPTOR), code=_AGENT_STATES.get(state, ""))

    def phase(self, phase: "LocationPhase.ValueType") -> str:
        """Name a location's phase in its colour."""
        return self._wrap(enum_text(phase, descriptor=LocationPhase.DESCRIPTOR), code=_PHASES.get(phase, ""))

    def _wrap(self, text: str, *, code: str) -> str:
        return f"{MARKS[code]}{text}{UNMARK}" if self.is_colored and code else text
