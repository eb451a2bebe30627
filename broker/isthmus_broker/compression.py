"""How bodies of messages are compressed: above a few KB, and never unfolding to more than a reader can hold."""

import zstandard

from isthmus_broker.errors import MalformedMessageError

#: Bodies larger than this are compressed, bytes.
COMPRESS_ABOVE = 4096
#: A body may not unfold to more than this, bytes: a small message must not exhaust the reader's memory.
MAX_BODY_BYTES = 128 * 1024**2


def compress(body: bytes) -> tuple[bytes, str | None]:
    """Return a body as it is sent, and its content encoding."""
    if len(body) <= COMPRESS_ABOVE:
        return body, None
    return zstandard.compress(body, level=3), "zstd"


def decompress(body: bytes, *, content_encoding: str | None, expected: str) -> bytes:
    """Return the body that was compressed.

    Raises:
        MalformedMessageError: the encoding is unknown, or the bytes are not of it; it says what was expected.
    """
    if not content_encoding:
        return body
    if content_encoding != "zstd":
        raise MalformedMessageError(expected=expected, problem=f"its encoding {content_encoding!r} is unknown")
    try:
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=MAX_BODY_BYTES)
    except zstandard.ZstdError as error:
        raise MalformedMessageError(expected=expected, problem=f"the bytes are none ({error})") from error
