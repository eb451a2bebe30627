"""Builds the parts of a control plane and hands each what it needs."""

import asyncio
from dataclasses import dataclass

from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.notices import NoticeListener, NoticePublisher
from isthmus_broker.publisher import Publisher

from isthmus_control_plane.alerting.watcher import Watcher
from isthmus_control_plane.api.service import ControlPlaneService, Desks
from isthmus_control_plane.automation.applying import Applier
from isthmus_control_plane.automation.evaluating import Evaluator
from isthmus_control_plane.automation.scheduler import Scheduler
from isthmus_control_plane.automation.sensing import Sensing
from isthmus_control_plane.backfills.advancing import Advancer
from isthmus_control_plane.backfills.planner import Planner
from isthmus_control_plane.backfills.wanted import TickBackfills
from isthmus_control_plane.branching.keeper import BranchKeeper
from isthmus_control_plane.catalog.freshness_keeper import FreshnessKeeper
from isthmus_control_plane.catalog.merging import CatalogMemory
from isthmus_control_plane.commands.dead_letters import DeadLetterReader
from isthmus_control_plane.commands.expire import Expirer
from isthmus_control_plane.commands.inherit import Inheritance
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.agents import AgentDesk
from isthmus_control_plane.desk.alerts import AlertDesk
from isthmus_control_plane.desk.asset_changes import AssetChangeDesk
from isthmus_control_plane.desk.assets import AssetDesk
from isthmus_control_plane.desk.automations import AutomationDesk
from isthmus_control_plane.desk.backfills import BackfillDesk
from isthmus_control_plane.desk.branches import BranchDesk
from isthmus_control_plane.desk.deletion import DeletionDesk
from isthmus_control_plane.desk.explanation import ExplanationDesk
from isthmus_control_plane.desk.generations import GenerationDesk
from isthmus_control_plane.desk.locations import LocationDesk
from isthmus_control_plane.desk.logs import LogDesk
from isthmus_control_plane.desk.questions import QuestionDesk
from isthmus_control_plane.desk.queue import QueueDesk
from isthmus_control_plane.desk.reexecution import ReexecutionDesk
from isthmus_control_plane.desk.reload import ReloadGate
from isthmus_control_plane.desk.run_list import RunListDesk
from isthmus_control_plane.desk.runs import RunDesk
from isthmus_control_plane.desk.watch import WatchDesk
from isthmus_control_plane.dispatching.acceptance import Acceptor
from isthmus_control_plane.dispatching.deferrals import Deferrals
from isthmus_control_plane.dispatching.dequeue import Dequeuer
from isthmus_control_plane.dispatching.ledger import NeedsMemory
from isthmus_control_plane.dispatching.relocation import Relocation
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.fleet.reconcile import FleetReconciler
from isthmus_control_plane.fleet.world import SyncMemory
from isthmus_control_plane.instance.answerer import QueryAnswerer
from isthmus_control_plane.instance.slots import SlotGranter
from isthmus_control_plane.leadership.leader import LEASE, Leadership
from isthmus_control_plane.questions import Questions
from isthmus_control_plane.retention.sweeper import Sweeper
from isthmus_control_plane.timing.timekeeper import Timekeeper


@dataclass(frozen=True)
class Parts:
    """All that runs."""

    core: Core
    api: ControlPlaneService
    questions: Questions
    outbox: OutboxDispatcher
    fleet: FleetReconciler
    dequeuer: Dequeuer
    deferrals: Deferrals
    expirer: Expirer
    inheritance: Inheritance
    relocation: Relocation
    dead_letters: DeadLetterReader
    notices: NoticeListener
    queries: QueryAnswerer
    leadership: Leadership
    sweeper: Sweeper
    applier: Applier
    scheduler: Scheduler
    sensing: Sensing
    timekeeper: Timekeeper
    freshness: FreshnessKeeper
    watcher: Watcher
    backfills: Advancer
    branches: BranchKeeper
    #: The broker has what others attach to.
    is_declared: asyncio.Event


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What desks use together."""

    memory: SyncMemory
    catalogs: CatalogMemory
    waits: Waits
    needs: NeedsMemory
    questions: Questions
    notices: NoticePublisher
    acceptor: Acceptor
    evaluator: Evaluator
    dequeuer: Dequeuer
    planner: Planner


def assemble(core: Core, *, publisher: Publisher) -> Parts:
    """Build the parts of a control plane that publishes over `publisher`; nothing of them runs yet."""
    instructions, dispatcher = InstructionPublisher(publisher), OutboxDispatcher(core, publisher=publisher)
    questions = Questions(core.broker.named("isthmus control plane answers"), publisher=instructions)
    memory, waits, needs = SyncMemory(), Waits(), NeedsMemory()
    dequeuer = Dequeuer(core, memory=memory, dispatcher=dispatcher, waits=waits, needs=needs)
    catalogs, acceptor = CatalogMemory(core, memory=memory), Acceptor(core, memory=memory, dispatcher=dispatcher)
    leadership, notices = _leadership(core), NoticePublisher(publisher)
    evaluator = Evaluator(core, questions=questions, memory=memory, leadership=leadership)
    planner = Planner(core, memory=memory, catalogs=catalogs)
    applier = Applier(core, leadership=leadership, acceptor=acceptor, backfills=TickBackfills(planner))
    shared = _Shared(
        memory=memory,
        catalogs=catalogs,
        waits=waits,
        needs=needs,
        questions=questions,
        notices=notices,
        acceptor=acceptor,
        evaluator=evaluator,
        dequeuer=dequeuer,
        planner=planner,
    )
    desks = _desks(core, shared)
    return Parts(
        core=core,
        api=ControlPlaneService(desks),
        questions=questions,
        outbox=dispatcher,
        fleet=FleetReconciler(core, memory=memory),
        dequeuer=dequeuer,
        deferrals=Deferrals(core),
        expirer=Expirer(core, publisher=publisher),
        inheritance=Inheritance(core),
        relocation=Relocation(core),
        dead_letters=DeadLetterReader(core, publisher=instructions),
        notices=NoticeListener(core.broker.named("isthmus control plane notices"), on_notice=core.hub.on_notice),
        queries=QueryAnswerer(core, publisher=publisher, slots=SlotGranter(core, notices=notices)),
        leadership=leadership,
        sweeper=Sweeper(core, leadership=leadership),
        applier=applier,
        scheduler=Scheduler(core, leadership=leadership, evaluator=evaluator, applier=applier, memory=memory),
        sensing=Sensing(core, leadership=leadership, evaluator=evaluator, applier=applier, memory=memory),
        timekeeper=Timekeeper(core, leadership=leadership),
        backfills=Advancer(core, leadership=leadership, acceptor=acceptor),
        freshness=FreshnessKeeper(core, leadership=leadership, catalogs=shared.catalogs),
        watcher=Watcher(core, leadership=leadership, assets=desks.assets),
        branches=BranchKeeper(core, leadership=leadership, memory=memory, notices=notices),
        is_declared=asyncio.Event(),
    )


def _desks(core: Core, shared: _Shared) -> Desks:
    locations = LocationDesk(core, memory=shared.memory)
    runs = RunDesk(core, acceptor=shared.acceptor, waits=shared.waits)
    return Desks(
        agents=AgentDesk(core, memory=shared.memory, notices=shared.notices),
        locations=locations,
        generations=GenerationDesk(core, locations=locations),
        runs=runs,
        run_list=RunListDesk(core, runs=runs),
        watch=WatchDesk(core, waits=shared.waits),
        reloads=ReloadGate(core),
        questions=QuestionDesk(core, questions=shared.questions, memory=shared.memory),
        logs=LogDesk(core, questions=shared.questions),
        reexecution=ReexecutionDesk(core, acceptor=shared.acceptor),
        deletion=DeletionDesk(core),
        automations=AutomationDesk(core, evaluator=shared.evaluator, memory=shared.memory, notices=shared.notices),
        assets=AssetDesk(core, catalogs=shared.catalogs),
        asset_changes=AssetChangeDesk(core, catalogs=shared.catalogs),
        alerts=AlertDesk(core),
        backfills=BackfillDesk(core, planner=shared.planner, notices=shared.notices),
        branches=BranchDesk(core, memory=shared.memory),
        queue=QueueDesk(core, memory=shared.memory, needs=shared.needs, pulse=shared.dequeuer.pulse),
        explanation=ExplanationDesk(core, memory=shared.memory, needs=shared.needs),
    )


def _leadership(core: Core) -> Leadership:
    duration_s = core.settings.lease_duration_s
    return Leadership(core.database, name=LEASE, duration_s=duration_s, on_taken=core.hub.leads)
