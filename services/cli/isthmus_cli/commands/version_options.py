"""Options that say of which version the code is that is deployed."""

from typing import Annotated

from isthmus_cli.options import Option

FromGit = Annotated[bool, Option("--from-git", help="Note commit, branch and page, as CI or git here says.")]
Page = Annotated[str, Option(metavar="URL", help="Note this page, as of a pull request.", show_default=False)]
