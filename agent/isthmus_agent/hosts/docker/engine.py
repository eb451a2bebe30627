"""The engine's API as this host uses it: the one place that knows aiodocker, its errors and its answers."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Self, TypeVar
from urllib.parse import quote

import aiodocker
import aiohttp
from aiodocker.types import JSONObject
from pydantic import BaseModel, TypeAdapter

from isthmus_agent.hosts.docker.engine_client import CALL_TIMEOUT_S, Call, EngineClient, open_client
from isthmus_agent.hosts.docker.replies import (
    Container,
    Created,
    EngineEvent,
    Image,
    Info,
    Labelled,
    ListedContainer,
    PullStep,
    Stats,
)
from isthmus_agent.hosts.errors import EngineRefusedError, EngineUnavailableError

#: Longest silence of a pull, seconds; the engine tells of every layer several times a second.
_PULL_SILENCE_S = 300.0
#: How many lines of output are asked for at the most; their length is not bounded.
_TAIL_LINES = 500

_NOT_FOUND = 404
_CONFLICT = 409
_UNCHANGED = 304
_CONNECTION_LOST = 900

ReplyT = TypeVar("ReplyT", bound=BaseModel)


class Engine:
    """A container engine. Errors come out as EngineUnavailableError (try again) or EngineRefusedError (its answer)."""

    def __init__(self, client: EngineClient, *, url: str) -> None:
        """Use `open` instead."""
        self._client = client
        self._url = url

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, call_timeout_s: float = CALL_TIMEOUT_S) -> AsyncIterator[Self]:
        """Prepare calls to the engine at a `unix://` or `tcp://` address; nothing is connected before the first."""
        async with open_client(url, call_timeout_s=call_timeout_s) as client:
            yield cls(client, url=url)

    async def info(self) -> Info:
        """Return what the engine says of itself."""
        return await self._ask(Info, Call("tell of itself", "info"))

    async def create(self, name: str, *, body: JSONObject) -> str:
        """Create a container and return its id."""
        call = Call("create a container", "containers/create", "POST", params={"name": name}, data=body)
        return (await self._ask(Created, call)).id

    async def connect_network(self, container: str, *, network: str) -> None:
        """Put a container on one more network."""
        path = f"networks/{quote(network, safe='')}/connect"
        await self._do(Call("connect a container to a network", path, "POST", data={"Container": container}))

    async def start(self, container: str) -> None:
        """Start a container; one that runs already is left as it is."""
        await self._do(Call("start a container", f"containers/{container}/start", "POST"))

    async def inspect(self, container: str) -> Container | None:
        """Look at a container, by id or name; None when there is none."""
        try:
            call = Call("look at a container", f"containers/{quote(container, safe='')}/json")
            return await self._ask(Container, call)
        except EngineRefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    async def list(self, labels: Mapping[str, str]) -> tuple[ListedContainer, ...]:
        """Return all containers that carry these labels, dead ones too."""
        params = {"all": "1", "filters": _filters(labels)}
        with self._errors("list containers"):
            answer = await self._client.ask(Call("list containers", "containers/json", params=params))
            return TypeAdapter(tuple[ListedContainer, ...]).validate_python(answer)

    async def kill(self, container: str, *, signal: str) -> None:
        """Send a signal to a container's first process; one that does not run is left alone."""
        call = Call("signal a container", f"containers/{container}/kill", "POST", params={"signal": signal})
        await self._do(call, unless={_NOT_FOUND, _CONFLICT})

    async def remove(self, container: str) -> None:
        """Remove a container with its anonymous volumes, killing it if it runs; one that is gone is fine."""
        path, params = f"containers/{quote(container, safe='')}", {"force": "1", "v": "1"}
        # A conflict says that somebody removes it already.
        await self._do(Call("remove a container", path, "DELETE", params=params), unless={_NOT_FOUND, _CONFLICT})

    async def rename(self, container: str, *, name: str) -> None:
        """Give a container another name."""
        await self._do(Call("rename a container", f"containers/{container}/rename", "POST", params={"name": name}))

    async def update(self, container: str, *, body: JSONObject) -> None:
        """Change a container's limits while it runs."""
        await self._do(Call("update a container", f"containers/{container}/update", "POST", data=body))

    async def stats(self, container: str) -> Stats:
        """Return what a container uses; one sample, so that it does not take a second."""
        params = {"stream": "0", "one-shot": "1"}
        return await self._ask(Stats, Call("measure a container", f"containers/{container}/stats", params=params))

    async def output(self, container: str) -> str:
        """Return the last lines that a container wrote; nothing when there is no container."""
        try:
            with self._errors("read a container's output"):
                async with asyncio.timeout(self._client.call_timeout_s):
                    wanted = self._client.containers.container(container)
                    return "".join(await wanted.log(stdout=True, stderr=True, tail=_TAIL_LINES))
        except EngineRefusedError as error:
            if error.status == _NOT_FOUND:
                return ""
            raise

    async def image(self, reference: str) -> Image | None:
        """Look at an image that the engine has; None when it has not."""
        try:
            return await self._ask(Image, Call("look at an image", f"images/{quote(reference, safe='/:@')}/json"))
        except EngineRefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    async def remove_image(self, image: str) -> None:
        """Remove an image, unless a container was made from it or it has several names; one that is gone is fine."""
        await self._do(Call("remove an image", f"images/{image}", "DELETE"), unless={_NOT_FOUND, _CONFLICT})

    async def volume_labels(self, name: str) -> Mapping[str, str] | None:
        """Return the labels of a volume; None when there is none of that name."""
        return await self._labels(Call("look at a volume", f"volumes/{quote(name, safe='')}"))

    async def network_labels(self, name: str) -> Mapping[str, str] | None:
        """Return the labels of a network; None when there is none of that name."""
        return await self._labels(Call("look at a network", f"networks/{quote(name, safe='')}"))

    async def create_volume(self, name: str, *, labels: Mapping[str, str]) -> None:
        """Make a volume."""
        await self._do(Call("make a volume", "volumes/create", "POST", data={"Name": name, "Labels": dict(labels)}))

    async def _labels(self, call: Call) -> Mapping[str, str] | None:
        try:
            return (await self._ask(Labelled, call)).labels
        except EngineRefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    async def pull(self, reference: str, *, auth_header: str) -> AsyncGenerator[PullStep, None]:
        """Pull an image, and tell how far it is."""
        params = {"fromImage": reference} if _is_exact(reference) else {"fromImage": reference, "tag": "latest"}
        headers = {"X-Registry-Auth": auth_header} if auth_header else {}
        call = f"pull {reference}"
        with self._errors(call):
            create = Call(call, "images/create", "POST", params=params)
            lines = self._client.lines(create, headers=headers, silence_s=_PULL_SILENCE_S)
            async with aclosing(lines):
                async for line in lines:
                    step = PullStep.model_validate_json(line or b"{}")
                    if step.error:
                        raise EngineRefusedError(call=call, status=0, message=step.error)
                    yield step

    async def events(
        self, labels: Mapping[str, str], *, actions: tuple[str, ...], since_s: float | None
    ) -> AsyncGenerator[EngineEvent | None, None]:
        """Tell what happens to containers with these labels, from now on or since a time in seconds.

        First gives None, once the engine listens to us: what happens after that is told. Ends when the engine closes
        the stream.
        """
        filters = _filters(labels, type=("container",), event=actions)
        params = {"filters": filters} if since_s is None else {"filters": filters, "since": f"{since_s:.9f}"}
        with self._errors("tell of events"):
            lines = self._client.lines(Call("tell of events", "events", params=params), headers={}, silence_s=None)
            async with aclosing(lines):
                async for line in lines:
                    yield EngineEvent.model_validate_json(line) if line else None

    async def _ask(self, reply: type[ReplyT], call: Call) -> ReplyT:
        with self._errors(call.what):
            return reply.model_validate(await self._client.ask(call))

    async def _do(self, call: Call, *, unless: frozenset[int] | set[int] = frozenset()) -> None:
        """Call for the effect; the statuses in `unless` say that there is nothing left to do."""
        try:
            with self._errors(call.what):
                await self._client.ask(call)
        except EngineRefusedError as error:
            if error.status not in {_UNCHANGED, *unless}:
                raise

    @contextmanager
    def _errors(self, call: str) -> Iterator[None]:
        """Translate aiodocker's and aiohttp's errors, here and nowhere else."""
        try:
            yield
        except aiodocker.DockerError as error:
            if error.status == _CONNECTION_LOST:
                raise EngineUnavailableError(url=self._url, cause=error.message) from error
            raise EngineRefusedError(call=call, status=error.status, message=error.message.strip()) from error
        except TimeoutError as error:
            raise EngineUnavailableError(url=self._url, cause=f"it took too long to {call}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnavailableError(url=self._url, cause=str(error) or type(error).__name__) from error
        except ValueError as error:
            # No JSON, not what it is asked for, or a line without end.
            cause = f"what it answered to {call} means nothing ({type(error).__name__})"
            raise EngineUnavailableError(url=self._url, cause=cause) from error


def _filters(labels: Mapping[str, str], **others: tuple[str, ...]) -> str:
    return json.dumps({"label": [f"{name}={value}" for name, value in labels.items()], **others})


def _is_exact(reference: str) -> bool:
    """Whether a reference names a tag or a digest; a colon before the last slash is a registry's port."""
    return any(sign in reference.rpartition("/")[2] for sign in ":@")
