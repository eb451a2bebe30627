"""How pages are made: templates that escape whatever they show, and the built scripts and styles that they name."""

import json
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from isthmus_console.door.headers import STATIC
from isthmus_console.door.session import Session
from isthmus_console.errors import NotBuiltError
from isthmus_console.view import words

HERE: Final = Path(__file__).parent
STATIC_FOLDER: Final = HERE / "static"
#: Written by the build: the names of its files, by the names without what changes with their content.
_MANIFEST: Final = STATIC_FOLDER / "manifest.json"
#: The cookie in which a browser keeps the theme that its user chose; its own scripts write it.
_THEME_COOKIE: Final = "isthmus_theme"
_THEMES: Final = frozenset({"light", "dark"})


class Looks:
    """Makes pages, and parts of pages, from templates.

    Raises NotBuiltError where the scripts and styles are not there.
    """

    def __init__(self, *, deployment: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(words.FILTERS)
        self._environment.globals.update(words.GLOBALS)
        built = _built()
        #: Which scripts and styles the pages have: another text where one of them is another.
        self.build = built["main.js"]
        self._environment.globals.update(
            build=self.build, deployment=deployment, asset=lambda name: STATIC + built[name]
        )

    def page(
        self, request: Request, template: str, facts: dict[str, object], *, session: Session | None, status: int = 200
    ) -> HTMLResponse:
        """Return a whole page.

        Args:
            request: Whose answer it is.
            template: The page's template.
            facts: What it shows.
            session: Whose forms it carries; None for a page before the gate.
            status: The answer's status.
        """
        theme = request.cookies.get(_THEME_COOKIE, "")
        facts = {
            **facts,
            "path": request.url.path,
            "theme": theme if theme in _THEMES else "",
            "form_token": session.form_token if session else "",
            "is_signed_in": session is not None,
        }
        return HTMLResponse(self._environment.get_template(template).render(facts), status_code=status)

    def part(self, template: str, facts: dict[str, object], *, session: Session) -> str:
        """Return a part of a page, for an open page that shows it in the place of an older one."""
        return self._environment.get_template(template).render({**facts, "form_token": session.form_token})


def _built() -> dict[str, str]:
    try:
        found = json.loads(_MANIFEST.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotBuiltError(str(STATIC_FOLDER)) from error
    return {str(name): str(file) for name, file in found.items()}
