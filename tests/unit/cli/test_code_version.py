"""Of which version code is: as CI says, and as a real git says."""

import subprocess
from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import CodeVersion
from isthmus_cli.code_version import code_version
from isthmus_cli.errors import InputError

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SHA": "abc",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://git.example",
    "GITHUB_REPOSITORY": "data/etl",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": "abc",
    "CI_COMMIT_REF_NAME": "main",
    "CI_PROJECT_URL": "https://git.example/data/etl",
    "CI_COMMIT_TITLE": "Load orders",
}


def test_nothing_is_known_of_code_of_which_nothing_is_said(tmp_path: Path) -> None:
    assert code_version(commit="", url="", folder=None, environment=GITHUB) is None
    told = code_version(commit="abc", url="", folder=None, environment={})
    assert told == CodeVersion(commit="abc")


@pytest.mark.parametrize(
    ("environment", "branch", "url", "message"),
    [
        (GITHUB, "main", "https://git.example/data/etl/commit/abc", ""),
        ({**GITHUB, "GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": "orders"},
         "orders", "https://git.example/data/etl/pull/7", ""),
        (GITLAB, "main", "https://git.example/data/etl/-/commit/abc", "Load orders"),
        ({**GITLAB, "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "orders"},
         "orders", "https://git.example/data/etl/-/merge_requests/7", "Load orders"),
    ],
)  # fmt: skip
def test_ci_says_it(environment: dict[str, str], branch: str, url: str, message: str, tmp_path: Path) -> None:
    told = code_version(commit="", url="", folder=tmp_path, environment=environment)
    assert told == CodeVersion(commit="abc", branch=branch, url=url, message=message)
    assert code_version(
        commit="mine", url="https://x.example", folder=tmp_path, environment=environment
    ) == CodeVersion(commit="mine", branch=branch, url="https://x.example", message=message)


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *who, "-C", str(folder), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_git_says_it_and_that_files_are_not_those_of_the_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "etl.py").write_text("1\n")
    git(tmp_path, "add", "etl.py")
    git(tmp_path, "commit", "-m", "Load orders\n\nAll of them.")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "notes.txt").write_text("not of the project\n")
    assert code_version(commit="", url="", folder=tmp_path, environment={}) == CodeVersion(
        commit=commit, branch="main", message="Load orders"
    )
    (tmp_path / "etl.py").write_text("2\n")
    told = code_version(commit="", url="", folder=tmp_path, environment={})
    assert told is not None
    assert told.commit == f"{commit}+changes"


def test_a_folder_that_git_does_not_know_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository") as refused:
        code_version(commit="", url="", folder=tmp_path, environment={"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    assert "--commit" in refused.value.remedy
