"""`isthmus alert …`: who is told of what, and what was told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

app = Group("alert", help="Say who is told of what, try it out, and look at what was told.")

PolicyName = Annotated[str, Argument(metavar="POLICY", help="The policy's name.")]


@dataclass(frozen=True, kw_only=True)
class SyncOptions(PrintOptions):
    """`alert sync`."""

    file: Annotated[Path, Argument(metavar="FILE", help="A YAML or JSON file with `policies:`.")]
    prune: Annotated[bool, Option(help="Remove the policies that the file does not have.")] = False
    dry_run: Annotated[bool, Option(help="Only tell what would change.")] = False


@dataclass(frozen=True, kw_only=True)
class PolicyOptions(PrintOptions):
    """A command about one policy."""

    name: PolicyName


@dataclass(frozen=True, kw_only=True)
class MuteOptions(PolicyOptions):
    """`alert mute`."""

    for_: Annotated[
        str, Option("--for", metavar="TIME", help="As in 30m, 2h, 1d; else until it is unmuted.", show_default=False)
    ] = ""
    why: Annotated[str, Option(metavar="TEXT", help="Told to whoever looks.", show_default=False)] = ""


@dataclass(frozen=True, kw_only=True)
class HistoryOptions(ListingOptions):
    """`alert history`."""

    name: Annotated[str, Argument(metavar="POLICY", help="Only what was told by this policy.")] = ""
    count: Annotated[int, Option("-n --count", metavar="N", min=1, max=500, help="So many, the newest ones.")] = 20


@command(
    app,
    "sync",
    options=SyncOptions,
    examples=("isthmus alert sync alerts.yaml --dry-run", "isthmus alert sync alerts.yaml --prune"),
)
def sync(options: SyncOptions) -> None:
    """Put the policies of a file in the place of those that have their names."""
    run_to_end(_sync(options))


async def _sync(options: SyncOptions) -> int:
    from isthmus_client.errors import InvalidRequestError

    from isthmus_cli.alert_file import read_alert_file
    from isthmus_cli.run_request import person
    from isthmus_cli.view.alert import change_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    said = read_alert_file(options.file)
    async with connected(options) as client:
        try:
            changes = await client.sync_alert_policies(
                said.policies, prune=options.prune, dry_run=options.dry_run, requested_by=person()
            )
        except InvalidRequestError as error:
            raise said.refusal(error) from error
    if options.is_json:
        print_document(changes)
    else:
        print_lines(change_lines(changes, paint=Paint.of(), is_dry_run=options.dry_run))
    return 0


@command(app, "list", options=ListingOptions)
def list_policies(options: ListingOptions) -> None:
    """List the policies: what they tell, to whom, and what lasts."""
    run_to_end(_list(options))


async def _list(options: ListingOptions) -> int:
    from isthmus_cli.view.alert import policy_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        policies = await client.list_alert_policies()
    if options.is_json:
        print_documents(policies)
    elif policies:
        print_lines(policy_table(policies, paint=Paint.of(), room=options.room))
    else:
        note("There are no alert policies. Make some: isthmus alert sync FILE; docs/alerts.md has examples.")
    return 0


@command(app, "show", options=PolicyOptions)
def show(options: PolicyOptions) -> None:
    """Print a policy as its file has it; addresses and secrets of receivers are left out."""
    run_to_end(_show(options))


async def _show(options: PolicyOptions) -> int:
    from isthmus_cli.view.alert import policy_lines, policy_note
    from isthmus_cli.view.output import note, print_document, print_lines

    async with connected(options) as client:
        policy = await client.get_alert_policy(options.name)
    if options.is_json:
        print_document(policy)
    else:
        note(policy_note(policy))
        print_lines(policy_lines(policy))
    return 0


@command(app, "test", options=PolicyOptions)
def test(options: PolicyOptions) -> None:
    """Send a marked example to all receivers of a policy, and tell what came of it."""
    run_to_end(_test(options))


async def _test(options: PolicyOptions) -> int:
    from isthmus_cli.alert_test import sent_example
    from isthmus_cli.exit_code import ExitCode
    from isthmus_cli.run_request import person
    from isthmus_cli.view.alert import alert_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        alert = await sent_example(client, options.name, requested_by=person())
    if options.is_json:
        print_document(alert)
    else:
        print_lines(alert_lines(alert, paint=Paint.of()))
    is_good = all(it.HasField("delivered_at") for it in alert.deliveries)
    return ExitCode.OK if is_good else ExitCode.FAILED


@command(
    app,
    "history",
    options=HistoryOptions,
    examples=("isthmus alert history", "isthmus alert history nightly -n 5 -o json"),
)
def history(options: HistoryOptions) -> None:
    """List what was told, newest first: to whom, and what went wrong."""
    run_to_end(_history(options))


async def _history(options: HistoryOptions) -> int:
    from isthmus_cli.view.alert import history_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        page = await client.list_alerts(policy=options.name, page_size=options.count)
    if options.is_json:
        print_documents(page.alerts)
    elif page.alerts:
        print_lines(history_table(page.alerts, paint=Paint.of(), room=options.room))
    else:
        note("Nothing was told.")
    return 0


@command(app, "mute", options=MuteOptions, examples=('isthmus alert mute nightly --for 2h --why "new warehouse"',))
def mute(options: MuteOptions) -> None:
    """Let nothing be sent for a policy; its history says what would have been."""
    run_to_end(_mute(options))


async def _mute(options: MuteOptions) -> int:
    from isthmus_cli.duration import seconds_of
    from isthmus_cli.run_request import person
    from isthmus_cli.view.alert import policy_note
    from isthmus_cli.view.output import note, print_document

    for_s = seconds_of(options.for_) if options.for_ else 0.0
    async with connected(options) as client:
        policy = await client.mute_alert_policy(options.name, why=options.why, for_s=for_s, requested_by=person())
    if options.is_json:
        print_document(policy)
    else:
        note(policy_note(policy))
    return 0


@command(app, "unmute", options=PolicyOptions)
def unmute(options: PolicyOptions) -> None:
    """Let things be sent for a policy again."""
    run_to_end(_unmute(options))


async def _unmute(options: PolicyOptions) -> int:
    from isthmus_cli.view.output import note, print_document

    async with connected(options) as client:
        policy = await client.unmute_alert_policy(options.name)
    if options.is_json:
        print_document(policy)
    else:
        note(f"Policy {options.name} tells again.")
    return 0
