"""`isthmus agent …`: places for agents at the broker, and how the agents fare."""

from dataclasses import dataclass
from typing import Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

app = Group("agent", help="Make places for agents, look at them, drain them.")

AgentName = Annotated[str, Argument(metavar="AGENT", help="The agent's name.", completes="agents")]


@dataclass(frozen=True, kw_only=True)
class OneAgentOptions(PrintOptions):
    """A command about one agent."""

    name: AgentName


@dataclass(frozen=True, kw_only=True)
class CreateOptions(OneAgentOptions):
    """`agent create`."""

    pool: Annotated[str, Option(metavar="POOL", help="Locations of this pool may come to it.", show_default=False)] = ""
    broker_user: Annotated[
        str,
        Option(metavar="USER", help="The broker account that its messages carry.", show_default=False),
    ] = ""
    code_server_broker_user: Annotated[
        str,
        Option(
            metavar="USER", help="The broker account of its code servers, if they have their own.", show_default=False
        ),
    ] = ""


@command(app, "create", options=CreateOptions)
def create(options: CreateOptions) -> None:
    """Make an agent's place at the broker. Repeating it changes nothing."""
    run_to_end(_create(options))


async def _create(options: CreateOptions) -> int:
    from isthmus_cli.view.agent import creation_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        agent = await client.create_agent(
            options.name,
            pool=options.pool,
            broker_user=options.broker_user,
            code_server_broker_user=options.code_server_broker_user,
        )
    if options.is_json:
        print_document(agent)
    else:
        print_lines(creation_lines(agent, paint=Paint.of()))
    return 0


@command(app, "list", options=ListingOptions)
def list_agents(options: ListingOptions) -> None:
    """List the agents."""
    run_to_end(_list(options))


async def _list(options: ListingOptions) -> int:
    from isthmus_cli.view.agent import agent_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        agents = await client.list_agents()
    if options.is_json:
        print_documents(agents)
    elif agents:
        print_lines(agent_table(agents, paint=Paint.of(), room=options.room))
    else:
        note("There are no agents. Make a place for one: isthmus agent create NAME")
    return 0


@command(app, "show", options=OneAgentOptions)
def show(options: OneAgentOptions) -> None:
    """Tell one agent whole: its locations, the runs that live on it."""
    run_to_end(_show(options))


async def _show(options: OneAgentOptions) -> int:
    from isthmus_cli.view.agent import agent_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        agent = await client.get_agent(options.name)
    if options.is_json:
        print_document(agent)
    else:
        print_lines(agent_lines(agent, paint=Paint.of()))
    return 0


@command(app, "drain", options=OneAgentOptions)
def drain(options: OneAgentOptions) -> None:
    """Give an agent no new runs until it is restarted; its runs go on."""
    run_to_end(_drain(options))


async def _drain(options: OneAgentOptions) -> int:
    from isthmus_cli.view.output import note, print_document
    from isthmus_cli.view.text import count_text

    async with connected(options) as client:
        agent = await client.drain_agent(options.name)
    if options.is_json:
        print_document(agent)
    else:
        runs = count_text(len(agent.active_runs), "run")
        note(f"Agent {agent.name} takes no new runs; {runs} live on it. See: isthmus agent show {agent.name}")
    return 0


@command(app, "remove", options=OneAgentOptions)
def remove(options: OneAgentOptions) -> None:
    """Take an agent's place at the broker away; refused while runs live on it."""
    run_to_end(_remove(options))


async def _remove(options: OneAgentOptions) -> int:
    from isthmus_cli.view.output import note, print_lines

    async with connected(options) as client:
        await client.remove_agent(options.name)
    if options.is_json:
        print_lines(["{}"])
    else:
        note(f"Removed agent {options.name}.")
    return 0
