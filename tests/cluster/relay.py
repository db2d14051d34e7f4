"""A way to an API server that a test can cut: it passes everything on, refuses connections, or holds what comes."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml


class Relay:
    """Listens on loopback in front of the server of a kubeconfig; TLS passes through untouched."""

    def __init__(self, kubeconfig: Path) -> None:
        self._config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
        address = self._config["clusters"][0]["cluster"]["server"].removeprefix("https://")
        self._host, _, port = address.partition(":")
        self._upstream = int(port)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._flows: asyncio.Event = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._folder = kubeconfig.parent

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def authority(self) -> bytes:
        """The certificate of who signed the server's."""
        given = self._config["clusters"][0]["cluster"]
        if inside := given.get("certificate-authority-data"):
            return base64.b64decode(inside)
        return (self._folder / str(given["certificate-authority"])).read_bytes()

    async def open(self) -> None:
        """Accept connections, at the same address as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Close all connections and accept none."""
        if self._server is not None:
            self._server.close()
            for writer in (*self._writers,):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    def hold(self) -> None:
        """Accept connections, and pass nothing on."""
        self._flows.clear()

    def release(self) -> None:
        """Pass on what was held, and what comes."""
        self._flows.set()

    def kubeconfig(self, folder: Path, **user: Any) -> str:
        """A kubeconfig that goes this way, for the same user or for one with these credentials."""
        given = {**self._config["clusters"][0]["cluster"], "server": f"https://{self._host}:{self._port}"}
        credentials = user or dict(self._config["users"][0]["user"])
        for table in (given, credentials):
            for key, value in table.items():
                if key in ("certificate-authority", "client-certificate", "client-key"):
                    table[key] = str(self._folder / value)
        text = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "relay",
            "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "test"}}],
            "clusters": [{"name": "relay", "cluster": given}],
            "users": [{"name": "test", "user": credentials}],
        }
        file = folder / "relay.kubeconfig"
        file.write_text(yaml.safe_dump(text))
        return str(file)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            above, below = await asyncio.open_connection(self._host, self._upstream)
            self._writers.add(below)
            with suppress(OSError):
                await asyncio.gather(self._pass(reader, below), self._pass(above, writer))
            self._writers.discard(below)
            below.close()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(2**16):
            await self._flows.wait()
            writer.write(chunk)
            await writer.drain()
        writer.close()
