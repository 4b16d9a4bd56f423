"""HTTP on a socket: reads requests, and sends answers at the pace they ask for."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from .bill import Book
from .delivery import NOTHING, Delivery

LARGEST_BODY = 32 * 1024 * 1024
LARGEST_BATCH = 256 * 1024 * 1024
BATCHED = ("/v1/messages/batches", "/v1/files")
CHUNK = 1024 * 1024

Responder = Callable[[str, str, Mapping[str, str], bytes | None], Delivery]


class Wire(ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1 and answers each connection in a thread of its own."""

    # Threads are joined when the server closes, so that nothing happens afterwards.
    daemon_threads = False
    block_on_close = True
    request_queue_size = 256

    def __init__(self, respond: Responder, book: Book) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.respond, self.book = respond, book
        self.closing = threading.Event()
        self.failures: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The port listened on."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note the connection, so that `stop` can end it."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and close it."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that went away is no failure; a bug in this server is, and is told when it stops."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.failures.append(error)

    def stop(self) -> None:
        """End all waiting, close all connections, and return when every thread is done."""
        self.closing.set()
        self.shutdown()
        with self._lock:
            for connection in self._open:
                _hang_up(connection)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection: any number of requests, one after another."""

    protocol_version = "HTTP/1.1"
    # Small answers must not wait for the acknowledgement of the last one.
    disable_nagle_algorithm = True
    server: Wire

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""

    def do_POST(self) -> None:
        """Answer a POST."""
        self._answer()

    def do_DELETE(self) -> None:
        """Answer a DELETE."""
        self._answer()

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer()

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        delivery = self.server.respond(self.command, self.path, headers, self._body())
        try:
            arrived = self._deliver(delivery)
        except OSError:
            arrived = False
        if not arrived:
            self.server.book.lose(delivery.charge)
            self.close_connection = True
            _hang_up(self.connection)

    def _body(self) -> bytes | None:
        """The body, or None when it is larger than the services take; it is read to its end all the same."""
        length = int(self.headers.get("content-length") or 0)
        if length <= (LARGEST_BATCH if self.path.startswith(BATCHED) else LARGEST_BODY):
            return self.rfile.read(length)
        while length > 0 and (chunk := self.rfile.read(min(length, CHUNK))):
            length -= len(chunk)
        return None

    def _deliver(self, delivery: Delivery) -> bool:
        """Send an answer; whether it was handed over whole."""
        if self.server.closing.wait(delivery.before) or self._gone() or delivery.cut == NOTHING:
            return False
        *first, last = _slices(self._head(delivery) + delivery.body[: delivery.cut], delivery.pieces)
        for piece in first:
            self.connection.sendall(piece)
            if self.server.closing.wait(delivery.over / delivery.pieces) or self._gone():
                return False
        if delivery.cut is not None:
            self.connection.sendall(last)
            return False
        return self._hand_over(last, delivery)

    def _hand_over(self, last: bytes, delivery: Delivery) -> bool:
        """Send the last piece. It is booked first, since the client may look at the bill as soon as it has it."""
        book, charge = self.server.book, delivery.charge
        book.hand_over(delivery.status, charge)
        try:
            self.connection.sendall(last)
        except OSError:
            book.take_back(delivery.status, charge)
            raise
        return True

    def _head(self, delivery: Delivery) -> bytes:
        headers = {"content-type": "application/json", **delivery.headers, "content-length": str(len(delivery.body))}
        phrase = self.responses.get(delivery.status, ("Unknown", ""))[0]
        lines = [f"HTTP/1.1 {delivery.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _gone(self) -> bool:
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


def _slices(data: bytes, count: int) -> list[bytes]:
    size = max(1, -(-len(data) // count))
    return [data[start : start + size] for start in range(0, len(data), size)] or [b""]


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # The client was quicker.
