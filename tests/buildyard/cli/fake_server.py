"""A small HTTP server in a thread, so that clients are tested against real sockets: streams, breaks, refusals."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What to answer: a status and pieces of body.

    `breaks` ends the connection without ending the body; `holds` leaves it open until the server ends.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    breaks: bool = False
    holds: bool = False


Route = Callable[[Seen], Reply] | Reply


class FakeServer:
    """Answers by `(method, path)`; everything that arrives is in `seen`."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Route] = {}
        self.seen: list[Seen] = []
        self.ended = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def on(self, method: str, path: str, route: Route | dict[str, Any]) -> None:
        self.routes[method, path] = Reply(body=route) if isinstance(route, dict) else route

    def reply(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        route = self.routes.get((seen.method, seen.path))
        if route is None:
            return problem(404, "not_found", f"There is nothing at {seen.path}.")
        return route if isinstance(route, Reply) else route(seen)

    @contextmanager
    def running(self) -> Iterator[FakeServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves early is part of some tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # socketserver types it so


def problem(status: int, code: str, detail: str, **more: Any) -> Reply:
    body = {"title": "Problem", "status": status, "detail": detail, "code": code, **more}
    return Reply(status=status, body=body, headers={"Content-Type": "application/problem+json"})


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            seen = Seen(self.command, url.path, query, dict(self.headers.items()), self._body())
            self._write(server.reply(seen))

        do_GET = do_POST = _answer  # noqa: N815 - the names http.server calls

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", "0")))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _write(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            whole = json.dumps(reply.body).encode() if reply.body is not None else b""
            if reply.pieces or reply.breaks:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in filter(None, reply.pieces):
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    self.wfile.flush()
                if reply.holds:
                    server.ended.wait()
                if not (reply.breaks or reply.holds):
                    self.wfile.write(b"0\r\n\r\n")
                self.close_connection = reply.breaks or reply.holds
            else:
                self.send_header("Content-Length", str(len(whole)))
                self.end_headers()
                self.wfile.write(whole)

        def log_message(self, *_: object) -> None:
            """Tests look at `seen`."""

    return Handler
