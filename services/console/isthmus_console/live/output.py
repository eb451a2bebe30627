"""What the page of a run's output is told: what the run's process, or one step, writes, as it is written."""

import codecs
from collections.abc import Sequence
from functools import partial
from typing import Final, TypedDict

from isthmus.v1.telemetry_pb2 import LogChunk, LogGap, LogStream
from sse_starlette import EventSourceResponse
from starlette.requests import Request

from isthmus_console.live.stream import Tell, in_batches, news, stream
from isthmus_console.site import Site
from isthmus_console.upstream import closing

STREAMS: Final = {"stdout": LogStream.LOG_STREAM_STDOUT, "stderr": LogStream.LOG_STREAM_STDERR}
_NAMES: Final = {number: name for name, number in STREAMS.items()}
_GAPS: Final = {
    LogGap.REASON_REMOVED: "The agent removed the rest of this output: it keeps no more of a run than its settings say.",
    LogGap.REASON_TRUNCATED: "The file became shorter here; what follows is read from its beginning.",
}


class OutputPiece(TypedDict):
    """A piece of what was written."""

    stream: str
    #: The step whose own file it is from; empty for the file of the run's process.
    step: str
    text: str
    #: Why something is missing before it; empty where nothing is.
    gap: str


def live_output(site: Site, request: Request) -> EventSourceResponse:
    """Answer with the stream of a run's output. One that breaks begins anew, and the page with it."""
    return stream(
        site,
        partial(_tell, site, run_id=str(request.path_params["run_id"]), step_key=request.query_params.get("step", "")),
    )


async def _tell(site: Site, tell: Tell, *, run_id: str, step_key: str) -> None:
    texts = _Texts()

    async def take(chunks: Sequence[LogChunk]) -> None:
        if pieces := [texts.piece(chunk) for chunk in chunks]:
            await tell(news("output", pieces))

    await tell(news("begin", {}))
    following = site.client.stream_logs(run_id, streams=list(STREAMS.values()), follow=True, step_key=step_key)
    async with closing(following) as chunks:
        await in_batches(chunks, take)


class _Texts:
    """Makes text of bytes; a character that is cut in two by the end of a chunk is told with the next."""

    def __init__(self) -> None:
        self._decoders: dict[tuple[int, str], codecs.IncrementalDecoder] = {}

    def piece(self, chunk: LogChunk) -> OutputPiece:
        key = (int(chunk.stream), chunk.step_key)
        decoder = self._decoders.setdefault(key, codecs.getincrementaldecoder("utf-8")(errors="replace"))
        return OutputPiece(
            stream=_NAMES.get(chunk.stream, "stdout"),
            step=chunk.step_key,
            text=decoder.decode(chunk.data),
            gap=_GAPS.get(chunk.gap.reason, "Some output is missing here.") if chunk.HasField("gap") else "",
        )
