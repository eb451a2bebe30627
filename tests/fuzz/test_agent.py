"""Whatever instructions, answers and code servers say, an agent's handlers answer each instruction, and keep nothing of it."""

import asyncio
import gc
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz.agent_world import KNOWN, World, agent_world
from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus.v1.instance_pb2 import InstanceAnswer
from isthmus_broker.delivery import Delivery
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.instructions import decode_instruction
from isthmus_broker.settlement import Settlement
from support.eventually import eventually
from support.hostile import Hostile, every_number

pytestmark = pytest.mark.timeout(3600)

WORDS = ("test", "edge", "r1", "r2", "i1", KNOWN, "odd", "etl", "nightly", "isthmus/isolation", "dedicated", "shared")
#: As many instructions as come to one life of an agent, and as come at once.
A_LIFE, AT_ONCE = 250, 25
#: The longest time that an instruction is worth anything, seconds: launches wait for their locations until then.
LIFE_S = 0.4


def timely(message: instruction.Instruction, random: Random) -> instruction.Instruction:
    """Let an instruction end soon: what is worth waiting for is waited for."""
    message.not_after.FromNanoseconds(int((time.time() + random.uniform(-0.1, LIFE_S)) * 1e9))
    return message


@dataclass
class Handed:
    """What was handed over."""

    malformed: int = 0
    #: The ids of those that are answered soon, whatever they are.
    due: set[str] = field(default_factory=set)

    def note(self, message: instruction.Instruction) -> None:
        is_timely = message.HasField("not_after") and message.not_after.ToNanoseconds() / 1e9 < time.time() + LIFE_S
        if is_timely or message.WhichOneof("body") in {None, "sync_locations", "drain_agent"}:
            self.due.add(message.id)


async def hand_over(world: World, bodies: list[bytes]) -> Handed:
    """Hand instructions over as a consumer does, some at a time."""
    handed = Handed()
    for start in range(0, len(bodies), AT_ONCE):
        async with asyncio.TaskGroup() as tasks:
            handled = []
            for body in bodies[start : start + AT_ONCE]:
                try:
                    message = decode_instruction(body)
                except MalformedMessageError:
                    handed.malformed += 1
                else:
                    handed.note(message)
                    handled.append(tasks.create_task(world.instructions.handle(message)))
        assert all(task.result() is Settlement.ACK for task in handled)
    return handed


class Plausible:
    """Makes odd instructions that get past the first checks: they are about locations and runs that there are."""

    def __init__(self, hostile: Hostile, random: Random) -> None:
        self._hostile = hostile
        self._random = random
        self._revision = 0

    def bodies(self, count: int) -> list[bytes]:
        """Some come twice under one id, some have odd deadlines, and some are none."""
        made = []
        for number in range(count):
            message = self._hostile.message(instruction.Instruction)
            message.deployment, message.agent = "test", "edge"
            if number % 20:
                message.id = f"i{number}"
                timely(message, self._random)
                self._steer(message)
            made.append(self._hostile.body(message)[0])
            if number % 7 == 0:
                made.append(made[-1])
        return made

    def _steer(self, message: instruction.Instruction) -> None:
        random, kind = self._random, message.WhichOneof("body")
        if kind == "drain_agent" and random.random() < 0.98:
            message.launch_run.SetInParent()
        if kind == "sync_locations":
            self._revision += 1
            message.sync_locations.revision = self._revision
            for name in (KNOWN, "odd"):
                message.sync_locations.locations.add(name=name, generation=random.choice((1, 1, 2))).source.module = "m"
        elif kind is not None:
            body = getattr(message, kind)
            fields = body.DESCRIPTOR.fields_by_name
            self._aim(body.request if "request" in fields else body)

    def _aim(self, body: Any) -> None:
        fields = body.DESCRIPTOR.fields_by_name
        if "location" in fields:
            body.location = self._random.choice((KNOWN, KNOWN, "odd", "etl", self._hostile.text()))
        if "run" in fields:
            body.run.run_id, body.run.attempt = (
                f"r{self._random.randrange(12)}",
                self._random.choice((1, 1, 2, 2**32 - 1)),
            )
        if "tags" in fields and self._random.random() < 0.7:
            body.tags.clear()
            body.tags["isthmus/isolation"] = self._random.choice(("shared", "dedicated"))


def hear(world: World, hostile: Hostile) -> None:
    """Let the agent hear what is no answer of a control plane."""
    body, encoding = hostile.body(hostile.message(InstanceAnswer))
    channel = Channel()
    delivery = Delivery("answers", 1, body, "", "", "isthmus", encoding, {}, False, channel)  # type: ignore[arg-type]
    world.relay.answers.on_delivery(delivery)


class Channel:
    """Takes settlements."""

    async def basic_ack(self, tag: int, *, multiple: bool) -> None:
        assert tag


async def honest_run_starts(world: World) -> None:
    """Check that what a control plane asks for honestly is done as ever."""
    world.calm()
    location = instruction.LocationSpec(name=KNOWN, generation=2**62, source=instruction.CodeSource(module="honest"))
    desired = instruction.SyncLocations(revision=world.registry.revision, locations=[location])
    assert world.registry.sync(desired) == ()
    request = instruction.RunRequest(run=telemetry.RunRef(run_id="victim", attempt=1), location=KNOWN)
    request.tags["isthmus/isolation"] = "shared"
    launch = instruction.Instruction(id="victim", launch_run=instruction.LaunchRun(request=request))
    launch.not_after.FromNanoseconds(int((time.time() + 600) * 1e9))
    await world.instructions.handle(launch)
    result = await eventually(lambda: world.mailbox.outcomes.get("victim"), within=20)
    assert result.outcome == telemetry.InstructionResult.OUTCOME_SUCCEEDED, result


async def live(folder: Path, hostile: Hostile, bodies: list[bytes]) -> Handed:
    """Live an agent's life among hostile messages, then another one, over what the first has left, among honest ones."""
    folder.mkdir()
    async with agent_world(folder, hostile=hostile) as world:
        handed = await hand_over(world, bodies)
        for _ in bodies[::10]:
            hear(world, hostile)
        await eventually(lambda: handed.due <= set(world.mailbox.results), within=LIFE_S + 10)
        # The timers of queries that nobody answered hold the relay for a while, and with it what it publishes over.
        world.mailbox.outcomes.clear()
    async with agent_world(folder, hostile=hostile) as world:
        await honest_run_starts(world)
    return handed


def kept() -> tuple[int, int]:
    """How many objects this process holds, and how many files."""
    gc.collect()
    return len(gc.get_objects()), len(list(Path("/proc/self/fd").iterdir()))


async def test_every_hostile_instruction_is_answered_and_none_is_kept(
    short_path: Path, messages: int, seed: int, unforeseen: list[str]
) -> None:
    hostile = Hostile(seed, words=WORDS)
    plausible = Plausible(hostile, Random(seed))
    malformed = answered = 0
    objects: list[int] = []
    files: list[int] = []
    for life in range(max(3, messages // 20 // A_LIFE)):
        handed = await live(short_path / str(life), hostile, plausible.bodies(A_LIFE))
        malformed, answered = malformed + handed.malformed, answered + len(handed.due)
        assert not unforeseen, unforeseen[0]
        held = kept()
        objects.append(held[0])
        files.append(held[1])
    assert malformed > A_LIFE // 10
    assert answered > A_LIFE
    assert objects[-1] < objects[1] * 1.1
    assert files[-1] <= files[1]


async def test_every_number_of_an_instruction_is_handled(short_path: Path, seed: int, unforeseen: list[str]) -> None:
    bodies = []
    for number, (_, message) in enumerate(every_number(instruction.Instruction)):
        message.id, message.deployment, message.agent = f"n{number}", "test", "edge"
        if not message.HasField("not_after"):
            timely(message, Random(number))
        bodies.append(message.SerializeToString())
    assert len(bodies) > 100
    handed = await live(short_path / "life", Hostile(seed, words=WORDS), bodies)
    assert handed.malformed == 0
    assert not unforeseen, unforeseen[0]
