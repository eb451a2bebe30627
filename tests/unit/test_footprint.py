"""What a service holds in memory while nothing happens is what it imported: these packages are not for services."""

import subprocess
import sys

import pytest

#: Alembic is imported by whoever migrates, the others by nobody.
_UNNEEDED = {"alembic", "pygments", "rich"}


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("isthmus_agent.main", {"sqlalchemy"}),
        ("isthmus_control_plane.main", set()),
        ("isthmus_monitor.main", {"grpc"}),
        ("isthmus_code_server.main", {"dagster", "google.protobuf", "structlog"}),
        ("isthmus_code_server.serve", {"dagster", "sqlalchemy"}),
    ],
)
def test_a_service_imports_no_package_that_it_never_uses(module: str, unneeded: set[str]) -> None:
    script = f"import {module}, sys; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert (_UNNEEDED | unneeded).isdisjoint(printed.split())


def test_what_the_log_of_services_does_without_can_be_imported_afterwards() -> None:
    script = "import isthmus_lifecycle.log, rich.console, structlog; assert structlog.dev.rich is None"
    subprocess.run([sys.executable, "-c", script], check=True)
