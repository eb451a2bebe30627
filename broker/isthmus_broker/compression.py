"""How bodies of messages are compressed: above a few KB, and never unfolding to more than a reader can hold."""

from typing import Final

import zstandard

from isthmus_broker.errors import MalformedMessageError

#: Bodies larger than this are compressed, bytes.
COMPRESS_ABOVE: Final = 4096
#: A body may not unfold to more than this, bytes: a small message must not exhaust the reader's memory.
MAX_BODY_BYTES: Final = 128 * 1024**2


def compress(body: bytes) -> tuple[bytes, str | None]:
    """Return a body as it is sent, and its content encoding."""
    if len(body) <= COMPRESS_ABOVE:
        return body, None
    return zstandard.compress(body, level=3), "zstd"


def decompress(body: bytes, *, content_encoding: str | None, expected: str) -> bytes:
    """Return the body that was compressed.

    Raises:
        MalformedMessageError: the encoding is unknown, the bytes are not of it, or there are more than `MAX_BODY_BYTES`; it
            says what was expected.
    """
    if content_encoding not in {None, "", "zstd"}:
        raise MalformedMessageError(expected=expected, problem=f"its encoding {content_encoding!r} is unknown")
    size = unfolded_size(body, content_encoding=content_encoding)
    if size is not None and size > MAX_BODY_BYTES:
        raise MalformedMessageError(
            expected=expected, problem=f"it would unfold to {size} bytes, and {MAX_BODY_BYTES} is the most"
        )
    if not content_encoding:
        return body
    try:
        # The library heeds this bound only where the frame does not state its size; where it does, that is the bound.
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=MAX_BODY_BYTES)
    except zstandard.ZstdError as error:
        raise MalformedMessageError(expected=expected, problem=f"the bytes are none ({error})") from error


def unfolded_size(body: bytes, *, content_encoding: str | None) -> int | None:
    """Return how many bytes a body says that it unfolds to, without unfolding it; None when it does not say."""
    if content_encoding != "zstd":
        return len(body)
    try:
        size = zstandard.get_frame_parameters(body).content_size
    except zstandard.ZstdError:
        # Bytes that are no frame unfold to nothing.
        return 0
    return None if size >= zstandard.CONTENTSIZE_ERROR else size
