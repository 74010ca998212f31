"""Web servers that keep every request. The attacker's serves git repositories and files."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNK = b"\0" * 65536


@dataclass
class Listener:
    """``requests`` are the heads and bodies as they came, and what basic authorisation says."""

    address: str = ""
    folder: Path | None = None
    requests: list[bytes] = field(default_factory=list)

    def add(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        head = f"{handler.requestline}\n{handler.headers}".encode("utf-8", "replace")
        kind, _, value = handler.headers.get("Authorization", "").partition(" ")
        told = base64.b64decode(value + "===") if kind.lower() == "basic" else b""
        self.requests.append(b"\n".join((head, told, body)))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    listener: Listener

    def answer(self) -> None:
        """``/wants/`` asks for a password first, ``/moved/`` leads to the same path without it,
        ``/endless`` never ends, ``/git/`` has the repositories in ``folder``, all else its files.
        """
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.listener.add(self, body)
        path = self.path
        if path.startswith("/wants/") and "Authorization" not in self.headers:
            self.say(401, b"", {"WWW-Authenticate": 'Basic realm="attacker"'})
            return
        path = path.removeprefix("/wants")
        if path.startswith("/moved/"):
            self.say(302, b"", {"Location": path.removeprefix("/moved")})
        elif path.startswith("/endless"):
            self.never_end()
        elif path.startswith("/git/") and self.listener.folder:
            self.run_git(path.removeprefix("/git"), body)
        else:
            self.say_file(path.partition("?")[0].lstrip("/"))

    do_GET = do_POST = do_PUT = do_HEAD = do_PROPFIND = do_DELETE = answer  # noqa: N815

    def say_file(self, path: str) -> None:
        found = self.listener.folder / path if self.listener.folder else None
        is_there = found is not None and found.is_file()
        self.say(200, found.read_bytes()) if found and is_there else self.say(404, b"")

    def say(self, code: int, text: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(text))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def never_end(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while self.command != "HEAD":
                self.wfile.write(CHUNK)
        except OSError:  # whoever read has gone
            self.close_connection = True

    def run_git(self, path: str, body: bytes) -> None:
        where, _, query = path.partition("?")
        env = {
            "GIT_PROJECT_ROOT": str(self.listener.folder), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": where, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            "GIT_CONFIG_KEY_1": "uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1": "true",
        }  # fmt: skip
        words = ["git", "http-backend"]
        done = subprocess.run(words, input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        rows = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.say(int(rows.pop("Status", "200").split()[0]), content, rows)

    def log_message(self, *words: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Whoever asked has gone: that is theirs to do."""


@contextmanager
def listening(host: str) -> Iterator[Listener]:
    listener = Listener()
    server = Server((host, 0), type("Bound", (Handler,), {"listener": listener}))
    listener.address = f"http://{host}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
