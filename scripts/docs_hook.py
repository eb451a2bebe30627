"""What MkDocs calls while it builds the site (`hooks` in mkdocs.yml)."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from docs_pages.commands import commands_page
from docs_pages.contract import FILES, contract_page
from docs_pages.errors import errors_page
from docs_pages.events import events_page
from docs_pages.exit_codes import exit_codes_page
from docs_pages.settings_page import settings_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
#: Pages that are made from the code, by their places below docs/.
PAGES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "reference/exit-codes.md": exit_codes_page,
    "reference/errors.md": errors_page,
    "reference/events.md": events_page,
    **{f"reference/contract/{name}.md": partial(contract_page, name) for name in FILES},
}
#: Folders beside docs/ that pages link to, as they do on a forge, and that the site has copies of.
COPIED = ("protos/isthmus/v1/*.proto",)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code, and what pages link to beside docs/."""
    for place, page in PAGES.items():
        files.append(File.generated(config, place, content=page()))
    for pattern in COPIED:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links that leave docs/ lead to the copies."""
    depth = page.file.src_uri.count("/")
    return re.sub(rf"\]\({'../' * (depth + 1)}(?=protos/)", f"]({'../' * depth}", markdown)
