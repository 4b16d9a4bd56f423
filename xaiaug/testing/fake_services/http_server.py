"""An HTTP server on the loopback interface, which sends responses slowly or cut short if asked to."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from .bill import Bill, BillingRecord

LARGEST_BODY = 32 * 1024 * 1024
LARGEST_BATCH = 256 * 1024 * 1024
BATCH_PATHS = ("/v1/messages/batches", "/v1/files")
CHUNK = 1024 * 1024
BEFORE_HEADERS = -1
FREE = Bill()


@dataclass(frozen=True)
class Response:
    """An HTTP response, with its price and the pace at which it is sent.

    Attributes:
        status: HTTP status.
        headers: besides content-length and date.
        body: bytes of the body.
        charge: price of the reply if it arrives completely; an empty bill for errors.
        delay_s: seconds to wait before anything is sent.
        spread_s: seconds over which the sending is spread.
        pieces: number of pieces sent in that time.
        cut: bytes of the body after which the connection is closed; `BEFORE_HEADERS` closes it before the headers.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    charge: Bill = FREE
    delay_s: float = 0.0
    spread_s: float = 0.0
    pieces: int = 1
    cut: int | None = None


Responder = Callable[[str, str, Mapping[str, str], bytes | None], Response]


class HttpServer(ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1 and handles each connection in its own thread."""

    # Threads are joined when the server closes, so that nothing happens afterwards.
    daemon_threads = False
    block_on_close = True
    request_queue_size = 256

    def __init__(self, respond: Responder, billing: BillingRecord) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.respond, self.billing = respond, billing
        self.closing = threading.Event()
        self.failures: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The port the server listens on."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Registers the connection, so that `stop` can close it."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Unregisters the connection and closes it."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Records bugs of this server, which are raised when it stops; a closed connection is not one."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.failures.append(error)

    def stop(self) -> None:
        """Ends all waiting, closes all connections, and returns when every thread is done."""
        self.closing.set()
        self.shutdown()
        with self._lock:
            for connection in self._open:
                _close(connection)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Handles one connection: any number of requests, one after another."""

    protocol_version = "HTTP/1.1"
    # Small responses must not wait for the acknowledgement of the previous one.
    disable_nagle_algorithm = True
    server: HttpServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Logs nothing."""

    def do_POST(self) -> None:
        """Answers a POST."""
        self._answer()

    def do_DELETE(self) -> None:
        """Answers a DELETE."""
        self._answer()

    def do_GET(self) -> None:
        """Answers a GET."""
        self._answer()

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = self.server.respond(self.command, self.path, headers, self._read_body())
        try:
            complete = self._send(response)
        except OSError:
            complete = False
        if not complete:
            self.server.billing.record_lost(response.charge)
            self.close_connection = True
            _close(self.connection)

    def _read_body(self) -> bytes | None:
        """The body, or None if it is larger than the services accept; it is read to its end in any case."""
        length = int(self.headers.get("content-length") or 0)
        if length <= (LARGEST_BATCH if self.path.startswith(BATCH_PATHS) else LARGEST_BODY):
            return self.rfile.read(length)
        while length > 0 and (chunk := self.rfile.read(min(length, CHUNK))):
            length -= len(chunk)
        return None

    def _send(self, response: Response) -> bool:
        """Sends a response; returns whether it was sent completely."""
        if self.server.closing.wait(response.delay_s) or self._is_closed() or response.cut == BEFORE_HEADERS:
            return False
        *first, last = _split(self._head(response) + response.body[: response.cut], response.pieces)
        for piece in first:
            self.connection.sendall(piece)
            if self.server.closing.wait(response.spread_s / response.pieces) or self._is_closed():
                return False
        if response.cut is not None:
            self.connection.sendall(last)
            return False
        self._send_last(last, response)
        return True

    def _send_last(self, last: bytes, response: Response) -> None:
        """Sends the last piece. It is billed first: the client may read the bill as soon as it has the response."""
        billing, charge = self.server.billing, response.charge
        billing.record_delivered(response.status, charge)
        try:
            self.connection.sendall(last)
        except OSError:
            billing.undo_delivered(response.status, charge)
            raise

    def _head(self, response: Response) -> bytes:
        headers = {"content-type": "application/json", **response.headers, "content-length": str(len(response.body))}
        phrase = self.responses.get(response.status, ("Unknown", ""))[0]
        lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _is_closed(self) -> bool:
        """Whether the client has closed the connection."""
        self.connection.setblocking(False)
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.connection.setblocking(True)


def _split(data: bytes, count: int) -> list[bytes]:
    size = max(1, -(-len(data) // count))
    return [data[start : start + size] for start in range(0, len(data), size)] or [b""]


def _close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client closed it first
