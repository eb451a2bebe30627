"""Which of the agent's environment variables user code gets: a pure decision."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

#: What programs need to find themselves, their files, their language and the network. No secret has such a name.
USUAL_VARIABLES = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHON*",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    "DAGSTER_*",
    "XDG_*",
)
#: Our own settings, passwords among them, are not the user code's business, whatever a pattern says.
_PRIVATE_PREFIX = "ISTHMUS_"


def passed_on(environment: Mapping[str, str], *, patterns: Iterable[str] = ()) -> Mapping[str, str]:
    """Return what user code gets: the usual variables, and those whose names match a pattern of the agent's owner."""
    listed = (*USUAL_VARIABLES, *patterns)
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_PRIVATE_PREFIX) and any(fnmatchcase(name, pattern) for pattern in listed)
    }
