"""What MkDocs calls while it builds the site (`hooks` in mkdocs.yml)."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
#: Folders beside docs/ that pages link to, as they do on a forge, and that the site has copies of.
COPIED = ("protos/isthmus/v1/*.proto",)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to beside docs/."""
    for pattern in COPIED:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links that leave docs/ lead to the copies."""
    depth = page.file.src_uri.count("/")
    return re.sub(rf"\]\({'../' * (depth + 1)}(?=protos/)", f"]({'../' * depth}", markdown)
