"""Of which version the code is that is deployed: as options say, as CI says, or as git says."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from isthmus.v1.control_plane_pb2 import CodeVersion

from isthmus_cli.errors import InputError

#: How long git may take, seconds.
_GIT_S: Final = 10.0
_MAX_TEXT: Final = 1024


def code_version(*, commit: str, url: str, folder: Path | None, environment: Mapping[str, str]) -> CodeVersion | None:
    """Return what is known of the code; None when nothing is said.

    Args:
        commit: As an option says; empty for none.
        url: The same.
        folder: Ask CI's variables, else git there; None to ask neither.
        environment: Where CI's variables are.

    Raises:
        InputError: Git is to be asked, and does not answer.
    """
    found = CodeVersion()
    if folder is not None:
        found = _of_github(environment) or _of_gitlab(environment) or _of_git(folder)
    found.commit, found.url = commit or found.commit, url or found.url
    return found if found.ByteSize() else None


def _of_github(environment: Mapping[str, str]) -> CodeVersion | None:
    if environment.get("GITHUB_ACTIONS") != "true":
        return None
    place = f"{environment.get('GITHUB_SERVER_URL', '')}/{environment.get('GITHUB_REPOSITORY', '')}"
    commit, reference = environment.get("GITHUB_SHA", ""), environment.get("GITHUB_REF", "").split("/")
    is_request = reference[1:2] == ["pull"]
    page = f"{place}/pull/{reference[2]}" if is_request else f"{place}/commit/{commit}"
    branch = environment.get("GITHUB_HEAD_REF") or environment.get("GITHUB_REF_NAME", "")
    return CodeVersion(commit=commit, branch=branch, url=page)


def _of_gitlab(environment: Mapping[str, str]) -> CodeVersion | None:
    if environment.get("GITLAB_CI") != "true":
        return None
    place, commit = environment.get("CI_PROJECT_URL", ""), environment.get("CI_COMMIT_SHA", "")
    request = environment.get("CI_MERGE_REQUEST_IID", "")
    return CodeVersion(
        commit=commit,
        branch=environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or environment.get("CI_COMMIT_REF_NAME", ""),
        url=f"{place}/-/merge_requests/{request}" if request else f"{place}/-/commit/{commit}",
        message=environment.get("CI_COMMIT_TITLE", "")[:_MAX_TEXT],
    )


def _of_git(folder: Path) -> CodeVersion:
    commit, message = _git(folder, "log", "-1", "--format=%H%n%s").split("\n", maxsplit=1)
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    # Whoever reads the history later has to know that the commit alone is not what was deployed.
    is_changed = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    return CodeVersion(
        commit=commit + ("+changes" if is_changed else ""),
        branch="" if branch == "HEAD" else branch,
        message=message[:_MAX_TEXT],
    )


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_S, check=True)
    except FileNotFoundError as error:
        raise InputError("git is not installed here.", remedy="Say --commit instead of --from-git.") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no reason given"])[0]
        raise InputError(f"git says of {folder}: {said}.", remedy="Say --commit instead of --from-git.") from error
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"git did not answer within {_GIT_S:g} s.", remedy="Say --commit instead of --from-git."
        ) from error
    return done.stdout.strip()
