"""A small image registry inside the test: what it is asked for, and how it answers, is the test's to see and to say."""

import asyncio
import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from aiohttp import web

_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_LAYER_BYTES = 400_000


class Registry:
    """Serves one image, `image`, of two layers.

    - `account`: who may pull, as "user:password"; anybody when empty.
    - `unauthorized`: how many of the next requests for the manifest are turned away though they are welcome.
    - `flowing`: cleared, layers are not sent until it is set again.
    """

    def __init__(self) -> None:
        self.account = ""
        self.unauthorized = 0
        self.flowing = asyncio.Event()
        self.flowing.set()
        #: How often somebody looked whether the image is still the same, how often it was pulled, and how often not.
        self.looks = 0
        self.pulls = 0
        self.turned_away = 0
        self._port = 0
        layers = [_layer(f"part-{number}") for number in range(2)]
        self._blobs = {_digest(data): data for data in (_config(layers), *(gzip.compress(layer) for layer in layers))}
        self._manifest = _manifest(self._blobs)

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Self]:
        """Serve on a free port of 127.0.0.1, which engines trust without TLS."""
        registry = cls()
        app = web.Application()
        app.router.add_get("/v2/", registry._greet)
        app.router.add_get("/v2/{name:.+}/manifests/{reference}", registry._give_manifest)
        app.router.add_get("/v2/{name:.+}/blobs/{digest}", registry._give_blob)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        _, registry._port = runner.addresses[0]
        try:
            yield registry
        finally:
            registry.flowing.set()
            await runner.cleanup()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def image(self) -> str:
        return f"{self.address}/sales:1"

    async def _greet(self, request: web.Request) -> web.Response:
        return web.json_response({}) if self._is_welcome(request) else self._turn_away()

    async def _give_manifest(self, request: web.Request) -> web.Response:
        if not self._is_welcome(request):
            return self._turn_away()
        if self.unauthorized and request.method == "GET":
            self.unauthorized -= 1
            return self._turn_away()
        if "sales" not in request.match_info["name"]:
            self.turned_away += request.method == "GET"
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        self.looks += request.method == "HEAD"
        self.pulls += request.method == "GET"
        headers = {"Docker-Content-Digest": _digest(self._manifest)}
        return web.Response(body=self._manifest, content_type=_MANIFEST_TYPE, headers=headers)

    async def _give_blob(self, request: web.Request) -> web.Response:
        await self.flowing.wait()
        return web.Response(body=self._blobs[request.match_info["digest"]], content_type="application/octet-stream")

    def _is_welcome(self, request: web.Request) -> bool:
        expected = f"Basic {base64.b64encode(self.account.encode()).decode()}"
        return not self.account or request.headers.get("Authorization") == expected

    def _turn_away(self) -> web.Response:
        self.turned_away += 1
        answer = _error(401, "UNAUTHORIZED", "authentication required")
        answer.headers["WWW-Authenticate"] = 'Basic realm="test"'
        return answer


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        # Noise: it must not shrink, and must be new to the engine.
        content = os.urandom(_LAYER_BYTES)
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _config(layers: list[bytes]) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]}
    return json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()


def _manifest(blobs: dict[str, bytes]) -> bytes:
    parts = [{"digest": digest, "size": len(data)} for digest, data in blobs.items()]
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": {**parts[0], "mediaType": _CONFIG_TYPE},
        "layers": [{**part, "mediaType": _LAYER_TYPE} for part in parts[1:]],
    }
    return json.dumps(document).encode()
