"""What uv is told of pip's configuration, and pip of uv's: an index with a certificate of its own is really asked."""

import os
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITH_INDEX = ROOT / "scripts/with-index"
PROGRAMS = ROOT / ".venv-uv/bin"
#: Nothing of the machine's own configuration is the test's concern.
FOREIGN = ("PIP_", "UV_", "SSL_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "XDG_")


@dataclass(frozen=True)
class Index:
    """A package index behind TLS, with one package in it."""

    url: str
    certificate: Path


def run(*words: str | Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command through the script, as a user with an empty home."""
    foreign = tuple(name for name in os.environ if name.startswith(FOREIGN) or name.lower().endswith("_proxy"))
    inherited = {name: value for name, value in os.environ.items() if name not in foreign}
    nothing = {"PIP_CONFIG_FILE": os.devnull, "UV_CONFIG_FILE": str(folder / "none.toml"), "HOME": str(folder)}
    (folder / "none.toml").touch()
    return subprocess.run(
        [WITH_INDEX, *words],
        env={**inherited, **nothing, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def told(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment that a command gets."""
    lines = run("env", folder=folder, **variables).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("index")
    certificate, key, chain = folder / "ca.pem", folder / "key.pem", folder / "chain.pem"
    make: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    authority: list[str | Path] = ["-subj", "/CN=company", "-keyout", folder / "ca.key", "-out", certificate]
    subprocess.run([*make, *authority], check=True, capture_output=True)
    signed: list[str | Path] = ["-CA", certificate, "-CAkey", folder / "ca.key", "-subj", "/CN=localhost"]
    (folder / "leaf.cnf").write_text(
        "[req]\ndistinguished_name=name\nx509_extensions=leaf\n[name]\n[leaf]\nsubjectAltName=DNS:localhost\n"
    )
    leaf: list[str | Path] = ["-config", folder / "leaf.cnf", "-keyout", key, "-out", chain]
    subprocess.run([*make, *signed, *leaf], check=True, capture_output=True)
    page = folder / "simple" / "inhouse"
    page.mkdir(parents=True)
    name = "inhouse-1.0-py3-none-any.whl"
    with zipfile.ZipFile(page / name, "w") as wheel:
        wheel.writestr("inhouse.py", "")
        wheel.writestr("inhouse-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: inhouse\nVersion: 1.0\n")
        wheel.writestr("inhouse-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("inhouse-1.0.dist-info/RECORD", "")
    (page / "index.html").write_text(f'<a href="{name}">{name}</a>')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Index(f"https://localhost:{server.server_port}/simple", certificate)
        server.shutdown()
        thread.join()


def test_uv_installs_from_the_index_that_pip_alone_is_configured_for(index: Index, tmp_path: Path) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {index.url}\ncert = {index.certificate}\n")
    words: list[str | Path] = ["pip", "install", "--no-cache", "--target", tmp_path / "made", "inhouse"]
    done = run(PROGRAMS / "uv", *words, folder=tmp_path, PIP_CONFIG_FILE=str(settings))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made/inhouse.py").exists()


def test_pip_installs_from_the_index_that_uv_alone_is_configured_for(index: Index, tmp_path: Path) -> None:
    settings = tmp_path / "uv.toml"
    settings.write_text(f'[[index]]\nname = "inhouse"\nurl = "{index.url}"\ndefault = true\n')
    variables = {"UV_CONFIG_FILE": str(settings), "SSL_CERT_FILE": str(index.certificate)}
    words: list[str | Path] = ["install", "--no-cache-dir", "--quiet", "--target", tmp_path / "made", "inhouse"]
    done = run(PROGRAMS / "pip", *words, folder=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made/inhouse.py").exists()


def test_what_is_said_to_uv_itself_stands(tmp_path: Path) -> None:
    own = {"UV_DEFAULT_INDEX": "https://uv.example/simple", "SSL_CERT_FILE": "/uv.pem"}
    found = told(tmp_path, PIP_INDEX_URL="https://pip.example/simple", PIP_CERT="/pip.pem", **own)
    assert {name: found[name] for name in own} == own
    assert (found["PIP_INDEX_URL"], found["PIP_CERT"]) == ("https://pip.example/simple", "/pip.pem")


def test_all_that_pip_knows_of_the_way_is_told_to_uv(tmp_path: Path) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://a.example/simple\nextra-index-url =\n  https://b.example/simple\n"
        "  https://c.example/simple\nfind-links = /wheels /more\nproxy = http://proxy.example:3128\n"
        "trusted-host = a.example\ntimeout = 90\n[install]\nindex-url = https://install.example/simple\n"
    )
    found = told(tmp_path, PIP_CONFIG_FILE=str(settings), https_proxy="http://other.example:3128")
    assert found["UV_DEFAULT_INDEX"] == "https://install.example/simple"
    assert found["UV_INDEX"] == "https://b.example/simple https://c.example/simple"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert (found["UV_FIND_LINKS"], found["UV_INSECURE_HOST"], found["UV_HTTP_TIMEOUT"]) == (
        "/wheels,/more",
        "a.example",
        "90",
    )
    assert found["HTTP_PROXY"] == "http://proxy.example:3128"
    assert "HTTPS_PROXY" not in found


def test_the_systems_certificates_are_trusted_where_nobody_names_others(tmp_path: Path) -> None:
    found = told(tmp_path)
    assert found["UV_SYSTEM_CERTS"] == "true"
    assert Path(found["PIP_CERT"]).is_file()
    found = told(tmp_path, REQUESTS_CA_BUNDLE="/company.pem")
    assert found["SSL_CERT_FILE"] == "/company.pem"
    assert "PIP_CERT" not in found
