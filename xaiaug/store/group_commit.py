"""Commits the changes of several threads in one transaction: they gather while one waits for the disk."""

from __future__ import annotations

import copy
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")
Change = Callable[[sqlite3.Connection], Result]


@dataclass(eq=False)
class _Ticket:
    """A change that a thread waits for."""

    change: Change[Any]
    result: Any = None
    error: BaseException | None = None
    done: bool = False


class GroupCommit:
    """Makes changes for many threads, as many as have gathered in one transaction.

    A call returns once its change is committed. One that fails is undone alone, but where the database itself fails no
    change of the transaction stands. What is changed in one transaction is on the disk as a whole or not at all.

    Args:
        begin: gives the connection within a transaction that ends with the block.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._begin = begin
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._busy = False  # whether a thread commits

    def run(self, change: Change[Result]) -> Result:
        """Has a change committed; returns what it returned, or raises what it or the commit raised."""
        ticket = _Ticket(change)
        with self._changed:
            self._waiting.append(ticket)
            while self._busy and not ticket.done:
                self._changed.wait()
            if not ticket.done:
                self._busy = True
        if not ticket.done:
            self._commit(ticket)
        if ticket.error is not None:
            raise ticket.error
        result: Result = ticket.result
        return result

    def _commit(self, own: _Ticket) -> None:
        """Commits all that waits, for every thread that waits for it."""
        with self._changed:
            tickets, self._waiting = self._waiting, []
        finished = tickets
        try:
            self._change(tickets)
        except Exception as error:  # noqa: BLE001  raised again in every thread whose change was not committed
            for ticket in tickets:
                ticket.error = ticket.error or copy.copy(error)  # a traceback belongs to one thread
        except BaseException:  # an interrupt is of this thread alone: another one commits for the rest
            finished = [own]
            raise
        finally:
            with self._changed:
                for ticket in finished:
                    ticket.done = True
                self._waiting = [ticket for ticket in tickets if not ticket.done] + self._waiting
                self._busy = False
                self._changed.notify_all()

    def _change(self, tickets: list[_Ticket]) -> None:
        with self._begin() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for ticket in tickets:
                connection.execute("SAVEPOINT change")
                try:
                    ticket.result = ticket.change(connection)
                except sqlite3.Error:
                    raise  # the ledger cannot be written: no change of the transaction stands, and `begin` says why
                except Exception as error:  # noqa: BLE001  raised again in the thread whose change it is
                    connection.execute("ROLLBACK TO change")
                    ticket.error = error
                connection.execute("RELEASE change")
