"""The page of all settings."""

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus_agent.policy.judge import Policy
from isthmus_agent.settings import AgentSettings
from isthmus_cli.container_entry import ContainerEntry, LimitsEntry, MountEntry
from isthmus_cli.location_file import LocationEntry
from isthmus_console.settings import ConsoleSettings
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_monitor.settings import MonitorSettings
from isthmus_monitor.webhook import Webhook
from pydantic import BaseModel

from docs_pages.markdown import code, escaped, table
from docs_pages.setting import Setting, heading, settings_of

#: Variables that no class of settings declares: who reads each, and what it is for.
VARIABLES = {
    "ISTHMUS_SERVER": ("command line, console, Python client", "address of the control plane, as in `127.0.0.1:7070`"),
    "ISTHMUS_DEPLOYMENT": ("command line, console, Python client", "the deployment; `default` without it"),
    "ISTHMUS_API_TOKEN": (
        "control plane, command line, console, Python client",
        "what callers of the API send, a secret",
    ),
    "ISTHMUS_API_TOKEN_FILE": ("control plane, command line, console, Python client", "the file that holds the token"),
    "ISTHMUS_BROKER_URL": ("every service, `isthmus dev`", "AMQP address of RabbitMQ, with account and virtual host"),
    "ISTHMUS_PULSE_FILE": ("every service", "a file that is touched every two seconds while the service works"),
    "ISTHMUS_THREADS_GRACE_S": (
        "a run's process (set it in the location's `env`)",
        "seconds that threads of a run or step may take to end once its work is done; 30 without it",
    ),
    "ISTHMUS_OPTIONAL_ANSWER_S": (
        "a run's process (set it in the location's `env`)",
        "seconds that a step waits to be told which versions of its inputs there are, at the most 10; 1 without it",
    ),
    "ISTHMUS_INSTANCE_SOCKET": ("a run's process; set by its code server", "where questions to the instance are asked"),
    "ISTHMUS_LENT_PATH": ("set by the agent", "where an interpreter that has no code server finds one"),
    "ISTHMUS_SERVER_TAG": ("set by the agent", "marks a code server's processes, so that a restarted agent finds them"),
}


@dataclass(frozen=True)
class Section:
    """Settings that belong together."""

    title: str
    text: str
    model: type[BaseModel]
    head: str = "variable"


SECTIONS = (
    Section("Control plane", "`isthmus-control-plane` reads the environment.", ControlPlaneSettings),
    Section("Monitor", "`isthmus-monitor` reads the environment.", MonitorSettings),
    Section(
        "Console", "`isthmus-console` reads the environment. [The console](../console.md) tells more.", ConsoleSettings
    ),
    Section(heading(Webhook), "An entry of `ISTHMUS_MONITOR_WEBHOOKS`.", Webhook, head="field"),
    Section("Agent", "`isthmus-agent` reads the environment. [The agent](../agent.md) tells more.", AgentSettings),
    Section(
        "The policy of an agent's owner",
        "The TOML file that `ISTHMUS_AGENT_POLICY_FILE` names. A list that is empty allows nothing.",
        Policy,
        head="rule",
    ),
    Section(
        "Code location",
        "An entry under `locations:` in the file that `isthmus location apply` takes. Paths are paths on the agent's machine.",
        LocationEntry,
        head="field",
    ),
    Section(heading(ContainerEntry), "The `container` of a code location.", ContainerEntry, head="field"),
    Section(heading(MountEntry), "An entry of a container's `mounts`.", MountEntry, head="field"),
    Section(heading(LimitsEntry), "The `limits` of a container.", LimitsEntry, head="field"),
)


def settings_page() -> str:
    """Return the page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# Settings\n"
    yield "Every setting of every process, as the code declares it. A setting that is marked **required** has no default.\n"
    yield (
        "A code server has no settings of its own: the agent that starts it writes them into a file, whose form is "
        "[CodeServerConfig](contract/code_server.md#codeserverconfig). The options of `isthmus dev` are among the "
        "[commands](commands.md#isthmus-dev).\n"
    )
    for section in SECTIONS:
        yield f"## {section.title}\n\n{section.text}\n"
        yield table([section.head, "value", "default", "meaning"], map(_row, settings_of(section.model)))
    yield "## Other variables\n\nWhat is read from the environment beside these.\n"
    yield table(["variable", "read by", "meaning"], [(code(name), *said) for name, said in VARIABLES.items()])


def _row(setting: Setting) -> tuple[str, str, str, str]:
    default = "**required**" if setting.default is None else setting.default
    return code(setting.name), setting.kind, default, escaped(setting.meaning)
