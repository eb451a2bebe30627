"""Alert policies, and what was told by them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_lifecycle.log import get_logger
from isthmus_store import alert_book, alert_policies, alerts
from isthmus_store.alert_policies import Changes, Mute, Sync
from isthmus_store.alert_receiver import endpoint_of, receiver_name, receivers_of
from isthmus_store.record.alert import AlertDelivery, AlertPolicyRow, NewAlert
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.alert_example import example
from isthmus_control_plane.errors import NotFoundError
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.validation import alerts as rules
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import meant

log = get_logger(__name__)

_DEFAULT_PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A policy as it stands."""

    row: AlertPolicyRow
    #: So much lasts, and was told.
    open: int
    is_muted: bool


@dataclass(frozen=True, slots=True)
class AlertView:
    """What was told, and what came of each receiver."""

    alert: NewAlert
    deliveries: Sequence[AlertDelivery]
    #: Names of receivers by their keys, as far as policies still have them.
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Some alerts, newest first."""

    alerts: Sequence[AlertView]
    has_more: bool


class AlertDesk:
    """Keeps policies, and shows what was told by them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def sync(self, request: api.SyncAlertPoliciesRequest) -> Changes:
        """Put policies in the place of those that have their names, or tell what that would change."""
        refuse(rules.sync(request))
        deployment = request.deployment or DEFAULT
        bodies = {it.name: it.SerializeToString(deterministic=True) for it in request.policies}
        if request.dry_run:
            async with self._core.database.read() as tx:
                return await alert_policies.compare(tx, deployment, bodies, is_pruned=request.prune)
        wanted = Sync(
            deployment=deployment, bodies=bodies, is_pruned=request.prune, by=request.requested_by, at=clock.now()
        )
        async with self._core.database.write() as tx:
            changes = await alert_policies.sync(tx, wanted)
        log.info(
            "alert_policies_changed",
            deployment=deployment,
            added=changes.added,
            changed=changes.changed,
            removed=changes.removed,
            by=request.requested_by,
        )
        self._core.hub.alerts.ring()
        return changes

    async def all_of(self, request: api.ListAlertPoliciesRequest) -> list[PolicyView]:
        """Return a deployment's policies, by name."""
        deployment = request.deployment or DEFAULT
        async with self._core.database.read() as tx:
            rows = await alert_policies.all_of(tx, deployment=deployment)
            return await _views(tx, deployment, rows)

    async def get(self, request: api.AlertPolicyRef) -> PolicyView:
        """Return one policy.

        Raises:
            NotFoundError: There is none of this name.
        """
        refuse(rules.of_policy(deployment=request.deployment, name=request.name))
        deployment = request.deployment or DEFAULT
        async with self._core.database.read() as tx:
            return (await _views(tx, deployment, [await _existing(tx, deployment, request.name)]))[0]

    async def test(self, request: api.TestAlertPolicyRequest) -> AlertView:
        """Send an example to all receivers of a policy, muted or not, at whatever hour.

        Raises:
            NotFoundError: There is none of this name.
        """
        refuse(rules.of_policy(deployment=request.deployment, name=request.name))
        deployment = request.deployment or DEFAULT
        async with self._core.database.write() as tx:
            row = await _existing(tx, deployment, request.name)
            names = _names([row])
            news = example(
                row.name, deployment=deployment, by=request.requested_by, key=str(uuid.uuid4()), at=clock.now()
            )
            await alerts.add(tx, news, endpoints=names)
            sent = await alerts.deliveries(tx, news.id)
        log.info("alert_policy_tested", deployment=deployment, policy=row.name, by=request.requested_by)
        return AlertView(news, sent, names)

    async def mute(self, request: api.MuteAlertPolicyRequest) -> PolicyView:
        """Let nothing be sent for a policy.

        Raises:
            NotFoundError: There is none of this name.
        """
        refuse(rules.mute(request))
        at = clock.now()
        until = at + timedelta(seconds=request.for_s) if request.for_s else None
        how = Mute(at=at, until=until, by=request.requested_by, why=request.why)
        return await self._mute(request.deployment or DEFAULT, request.name, how)

    async def unmute(self, request: api.AlertPolicyRef) -> PolicyView:
        """Let things be sent for a policy again.

        Raises:
            NotFoundError: There is none of this name.
        """
        refuse(rules.of_policy(deployment=request.deployment, name=request.name))
        return await self._mute(request.deployment or DEFAULT, request.name, None)

    async def page(self, request: api.ListAlertsRequest) -> AlertPage:
        """Return what was told.

        Raises:
            NotFoundError: A policy is named that is not there, and of which nothing was told.
        """
        refuse(rules.history(request))
        deployment, size = request.deployment or DEFAULT, request.page_size or _DEFAULT_PAGE
        before = clock.moment(request.before) if request.HasField("before") else None
        async with self._core.database.read() as tx:
            found = await alerts.sent(tx, deployment=deployment, policy=request.policy, before=before, limit=size + 1)
            if request.policy and not found and before is None:
                await _existing(tx, deployment, request.policy)
            sent = await alerts.deliveries_of(tx, [it.id for it in found[:size]])
            names = _names(await alert_policies.all_of(tx, deployment=deployment))
        views = [AlertView(it, sent.get(it.id, ()), names) for it in found[:size]]
        return AlertPage(views, has_more=len(found) > size)

    async def _mute(self, deployment: str, name: str, how: Mute | None) -> PolicyView:
        async with self._core.database.write() as tx:
            muted = await alert_policies.mute(tx, deployment=deployment, name=name, how=how)
            if muted is None:
                muted = await _existing(tx, deployment, name)
            view = (await _views(tx, deployment, [muted]))[0]
        log.info("alert_policy_muted" if how else "alert_policy_unmuted", deployment=deployment, policy=name)
        self._core.hub.alerts.ring()
        return view


async def _existing(tx: Transaction, deployment: str, name: str) -> AlertPolicyRow:
    row = await alert_policies.get(tx, deployment=deployment, name=name)
    if row is None:
        known = [it.name for it in await alert_policies.all_of(tx, deployment=deployment)]
        raise NotFoundError(
            "alert policy",
            name=name,
            deployment=deployment,
            hint=meant(name, known=known),
            remedy="All policies: isthmus alert list",
        )
    return row


async def _views(tx: Transaction, deployment: str, rows: Sequence[AlertPolicyRow]) -> list[PolicyView]:
    lasting = await alert_book.count_incidents(tx, deployment=deployment)
    now = clock.now()
    return [PolicyView(it, lasting.get(it.name, 0), it.is_muted(now)) for it in rows]


def _names(rows: Sequence[AlertPolicyRow]) -> dict[str, str]:
    """Return the names of all receivers of policies, by their keys."""
    return {
        endpoint_of(row.deployment, receiver): receiver_name(receiver)
        for row in rows
        for receiver in receivers_of(api.AlertPolicy.FromString(row.body))
    }
