"""Servers in a test's own process: one that stands before another, and one that never answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from conftest import SECONDS


class Proxy(ThreadingHTTPServer):
    """Hands every request on to the server ``upstream``, and notes it."""

    def __init__(self, upstream: str, handler: type[Forwarder] | None = None) -> None:
        self.upstream = upstream
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), handler or Forwarder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sent(self, name: str) -> int:
        """How often an artifact of this name was."""
        return sum(line.startswith("PUT") and line.endswith(f"/{name}") for line in self.seen)


class Forwarder(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.seen.append(f"{self.command} {self.path.partition('?')[0]}")
        self.forward(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def forward(self, body: bytes) -> None:
        asked = Request(self.server.upstream + self.path, body or None, method=self.command)
        if kind := self.headers.get("Content-Type"):
            asked.add_header("Content-Type", kind)
        try:
            with urlopen(asked, timeout=SECONDS) as answer:
                self.answer(answer.status, answer.read())
        except HTTPError as error:
            self.answer(error.code, error.read())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def proxy(upstream: str, handler: type[Forwarder] | None = None) -> Iterator[Proxy]:
    with Proxy(upstream, handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


class Deaf:
    """Takes connections, and says nothing; or ends them."""

    def __init__(self, *, hangs_up: bool = False) -> None:
        self.connections: list[socket.socket] = []
        self._hangs_up = hangs_up
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._take, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            self.connections.append(connection)
            if self._hangs_up:
                connection.close()

    def close(self) -> None:
        self._socket.close()
        for connection in self.connections:
            connection.close()
