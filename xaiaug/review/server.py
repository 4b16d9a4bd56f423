"""Serves the review page on the loopback interface, to requests with the token in its address."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from ..errors import XaiaugError
from .gallery import Gallery
from .review_page import ReviewPage

HOST = "127.0.0.1"
_MOST_BYTES = 64_000
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class ReviewServer:
    """A server for one run folder; as a context manager it serves from its own thread.

    Only this machine can reach it. Pages of another origin cannot: the address holds a random token, and the headers
    Host and Origin must match the server, against guessed ports and DNS rebinding.

    Args:
        run_dir: the run folder.
        port: to listen on; 0 takes a free one.

    Raises:
        RunFolderError: nothing waits for review there.
    """

    def __init__(self, run_dir: str | Path, port: int = 0) -> None:
        self.gallery = Gallery(run_dir)
        self.page = ReviewPage(self.gallery)
        self.token = secrets.token_urlsafe(24)
        self._server = _Server((HOST, port), _handler(self))
        self._redirect: Path | None = None

    @property
    def origin(self) -> str:
        """Such as "http://127.0.0.1:8123"."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"{self.origin}/{self.token}/"

    def open_browser(self) -> None:
        """Opens the page by a file that only this user can read: everybody sees what a browser is called with."""
        self._redirect = Path(tempfile.mkdtemp(prefix="xaiaug-review-"))
        file = self._redirect / "review.html"
        file.touch(mode=0o600)
        file.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={self.url}">', encoding="utf-8")
        webbrowser.open(file.as_uri())

    def remove_redirect(self) -> None:
        """Removes that file; the page has been opened, or never will be."""
        if self._redirect is not None:
            shutil.rmtree(self._redirect, ignore_errors=True)
            self._redirect = None

    def serve(self) -> None:
        """Serves until it is closed or interrupted."""
        try:
            with suppress(KeyboardInterrupt):
                self._server.serve_forever(poll_interval=0.1)
        finally:
            self._server.server_close()
            self.remove_redirect()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve, name="review", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Shows faults, but not that a browser went away before its answer came."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _handler(server: ReviewServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        review = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    review: ReviewServer
    server_version = "xaiaug"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """The page, or one of its pictures."""
        match self._path():
            case [""]:
                self.review.remove_redirect()
                self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.review.page.html(), self.review.page.policy)
            case [("image" | "failed" | "heatmap") as what, name]:
                self._picture(name, what)
            case _:
                self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Stores a decision, or keeps all undecided images."""
        match self._path(writes=True):
            case ["decide"]:
                decision = self._body()
                self._do(lambda: self.review.gallery.decide(str(decision.get("id", "")), decision))
            case ["keep-the-rest"]:
                self._do(self.review.gallery.keep_the_rest)
            case _:
                self._refuse(HTTPStatus.NOT_FOUND)

    def _path(self, writes: bool = False) -> list[str] | None:
        """The path behind the token; None if the request is not allowed."""
        origin = self.headers.get("Origin")
        foreign = self.headers.get("Host") != self.review.origin.removeprefix("http://")
        foreign = foreign or origin not in ((self.review.origin,) if writes else (None, self.review.origin))
        token, *rest = self.path.partition("?")[0].removeprefix("/").split("/")
        valid = secrets.compare_digest(token.encode(), self.review.token.encode())
        return rest if valid and not foreign else None

    def _picture(self, name: str, what: str) -> None:
        try:
            self._send(HTTPStatus.OK, "image/png", self.review.gallery.picture(name, what))
        except (LookupError, XaiaugError, ValueError):
            self._refuse(HTTPStatus.NOT_FOUND)

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        countable = length.isascii() and length.isdigit() and len(length) < 10
        if self.headers.get_content_type() != "application/json" or not countable or int(length) > _MOST_BYTES:
            return {}
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def _do(self, act: Callable[[], None]) -> None:
        try:
            act()
        except XaiaugError as error:
            self._send(HTTPStatus.CONFLICT, "application/json", json.dumps({"error": str(error)}).encode())
        else:
            self._send(HTTPStatus.OK, "application/json", b"{}")

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(status, "text/plain", status.phrase.encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes, policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Security-Policy": policy}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Logs nothing: the terminal shows only the address."""
