"""Tells of changes of a project's code, each burst once."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from pathlib import Path

from watchfiles import Change, awatch

from isthmus_dev.watch.tree import Tree, is_code, look

#: A burst is over after this long without a change, milliseconds: an editor saves several files, and some twice.
_STEP_MS = 100
#: A burst is told after this long even if it goes on, as a checkout of another branch may.
_DEBOUNCE_MS = 1500
#: How long after the watch began one look finds what changed before it did, milliseconds.
_FIRST_LOOK_MS = 1000


async def watch(roots: Sequence[Path], *, ignored: Collection[Path], since: Tree) -> AsyncGenerator[set[Path], None]:
    """Yield the files whose content changed, until cancelled.

    The system's notices only wake: what changed is found by looking, so that a file which is written with what it held
    already is no change, and none is missed in a folder that is new.

    Args:
        roots: The folders.
        ignored: Folders that belong to us.
        since: An earlier look at them: what changed after it is told first.
    """
    tree = since
    while True:
        async with aclosing(_notices(tree)) as notices:
            async for _ in notices:
                before = tree
                tree = await asyncio.to_thread(look, roots, ignored=ignored, before=before)
                if changed := tree.changed_since(before):
                    yield changed
                if tree.folders != before.folders:
                    break


async def _notices(tree: Tree) -> AsyncGenerator[None, None]:
    """Yield once soon, and then after each burst; each folder is watched by itself, for environments lie among them."""
    is_first = True
    watching = awatch(
        *tree.folders,
        recursive=False,
        watch_filter=_may_matter,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=_FIRST_LOOK_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    async with aclosing(watching) as changes:
        async for change in changes:
            if change or is_first:
                yield
            is_first = False


def _may_matter(change: Change, path: str) -> bool:
    # A name without an ending may be a folder's.
    return is_code(path) or (change is not Change.modified and "." not in Path(path).name)
