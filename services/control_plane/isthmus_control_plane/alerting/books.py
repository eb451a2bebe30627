"""Takes facts in for policies, within one transaction: each fact once, and each into the message that it belongs to."""

from collections.abc import Mapping
from datetime import datetime

from isthmus_store import alert_book
from isthmus_store.record.alert import AlertGroup, AlertIncident
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane.alerting import message
from isthmus_control_plane.alerting.fact import Fact, digest
from isthmus_control_plane.alerting.grouping import TOGETHER, Gathered
from isthmus_control_plane.alerting.policy import Policy
from isthmus_control_plane.validation import alert_kind as kinds

_IncidentKey = tuple[str, str, str]


class Books:
    """What policies have told and gathered, and what of it lasts."""

    def __init__(
        self,
        tx: WriteTransaction,
        *,
        incidents: Mapping[_IncidentKey, AlertIncident],
        groups: Mapping[tuple[str, str], dict[tuple[str, int], AlertGroup]],
        now: datetime,
    ) -> None:
        self._tx = tx
        self._now = now
        self._incidents = dict(incidents)
        self._groups = dict(groups)
        self._changed: dict[tuple[str, str, str, int], AlertGroup] = {}
        self._told: dict[tuple[str, str], list[tuple[str, datetime]]] = {}

    @classmethod
    async def open(cls, tx: WriteTransaction, *, now: datetime) -> "Books":
        """Read what is there."""
        groups: dict[tuple[str, str], dict[tuple[str, int], AlertGroup]] = {}
        for it in await alert_book.groups(tx):
            groups.setdefault((it.deployment, it.policy), {})[it.dedup, it.is_over] = it
        incidents = {(it.deployment, it.policy, it.dedup): it for it in await alert_book.incidents(tx)}
        return cls(tx, incidents=incidents, groups=groups, now=now)

    async def close(self) -> None:
        """Write what was gathered: of a storm, each message once."""
        for group in self._changed.values():
            await alert_book.keep_group(self._tx, group)

    def lasting(self, policy: Policy, kind: str) -> list[AlertIncident]:
        """Return what lasts of a kind, and what the policy has told."""
        return [
            it
            for it in self._incidents.values()
            if (it.deployment, it.policy, it.kind) == (policy.deployment, policy.name, kind)
        ]

    async def take(self, policy: Policy, fact: Fact) -> None:
        """Tell something that happened, once."""
        name = digest(fact.kind, fact.subject, fact.occasion)
        if not await alert_book.take(
            self._tx, deployment=policy.deployment, policy=policy.name, fact=name, at=self._now
        ):
            return
        await self._gather(policy, fact)
        if kinds.KINDS[fact.kind].over and policy.tells_end(fact.kind):
            await self._open(policy, fact)

    async def take_end(self, policy: Policy, fact: Fact) -> None:
        """Tell that what a policy told is over, if it did: as a run of the job that failed succeeds."""
        for kind in kinds.ENDS.get(fact.kind, ()):
            key = (policy.deployment, policy.name, policy.dedup(kind, fact.subject))
            known = self._incidents.get(key)
            if known is not None and known.opened_at <= fact.at:
                await self._close(policy, known, fact)

    async def hold(self, policy: Policy, kind: str, standing: Mapping[str, Fact]) -> None:
        """Tell what began to last, what lasts for long, and what is over; `standing` is what lasts now, by subject."""
        known = {it.subject: it for it in self.lasting(policy, kind)}
        for subject, fact in standing.items():
            before = known.get(subject)
            if before is None or (policy.renotify is not None and self._now - before.told_at >= policy.renotify):
                await self._gather(policy, fact)
                await self._open(policy, fact)
        for subject, incident in known.items():
            if subject not in standing:
                await self._close(policy, incident, None)

    async def _open(self, policy: Policy, fact: Fact) -> None:
        incident = AlertIncident(
            deployment=policy.deployment,
            policy=policy.name,
            dedup=policy.dedup(fact.kind, fact.subject),
            kind=fact.kind,
            subject=fact.subject,
            opened_at=fact.at,
            told_at=self._now,
        )
        self._incidents[incident.deployment, incident.policy, incident.dedup] = incident
        await alert_book.open_incident(self._tx, incident)

    async def _close(self, policy: Policy, incident: AlertIncident, fact: Fact | None) -> None:
        del self._incidents[incident.deployment, incident.policy, incident.dedup]
        await alert_book.close_incident(self._tx, incident)
        if policy.tells_end(incident.kind):
            await self._gather(policy, _end_of(incident, shown_by=fact, at=self._now), is_over=True)

    async def _gather(self, policy: Policy, fact: Fact, *, is_over: bool = False) -> None:
        gathered = self._groups.setdefault((policy.deployment, policy.name), {})
        lately = Gathered(gathered=gathered, told=await self._told_by(policy), pace=policy.pace, now=self._now)
        place = lately.place(policy.dedup(fact.kind, fact.subject), is_over=is_over)
        before = gathered.get((place.dedup, is_over))
        group = AlertGroup(
            deployment=policy.deployment,
            policy=policy.name,
            dedup=place.dedup,
            is_over=int(is_over),
            kind=fact.kind,
            subject=fact.subject if place.dedup != TOGETHER else "",
            facts=before.facts + 1 if before is not None else 1,
            samples=message.with_sample(before.samples if before is not None else "[]", fact),
            opened_at=before.opened_at if before is not None else self._now,
            due_at=place.due_at,
        )
        gathered[place.dedup, int(is_over)] = group
        self._changed[group.deployment, group.policy, group.dedup, group.is_over] = group

    async def _told_by(self, policy: Policy) -> list[tuple[str, datetime]]:
        key = (policy.deployment, policy.name)
        if key not in self._told:
            since = self._now - policy.pace.every
            self._told[key] = await alert_book.told_since(
                self._tx, deployment=policy.deployment, policy=policy.name, since=since
            )
        return self._told[key]


def _end_of(incident: AlertIncident, *, shown_by: Fact | None, at: datetime) -> Fact:
    topic = f"{incident.kind} of {incident.subject}" if incident.subject else incident.kind
    lasted = at - incident.opened_at
    text = f"It lasted {str(lasted).partition('.')[0]}."
    return Fact(
        kind=incident.kind,
        deployment=incident.deployment,
        subject=incident.subject,
        topic=topic,
        text=text,
        at=at,
        data=dict(shown_by.data) if shown_by is not None else {"subject": incident.subject},
    )
