"""Errors on the command line: one message, an exit code, and a traceback with --debug alone."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from ..errors import BudgetSpentError, RunStopped, WaitingForReview, XaiaugError
from .terminal import STOPPED, SafeGroup, print_message

WRONG, WAITING, BUDGET_SPENT, INTERRUPTED = 1, 3, 4, 130  # 2 is a command that cannot be understood
DEBUG = "--debug"
_debugging: list[bool] = []  # filled by the option, wherever it stands


class DebugGroup(SafeGroup):
    """The commands; `--debug` is taken wherever it stands, also behind a command."""

    def main(self, args: Any = None, *arguments: Any, **options: Any) -> Any:
        """Runs a command."""
        given = list(sys.argv[1:] if args is None else args)
        end = given.index("--") if "--" in given else len(given)
        _debugging[:] = [True] if DEBUG in given[:end] else []
        return super().main([one for one in given[:end] if one != DEBUG] + given[end:], *arguments, **options)


def report_errors(command: Callable[[], Any]) -> None:
    """Runs a command; an error becomes one message on stderr and an exit code."""
    try:
        command()
    except WaitingForReview as waiting:
        _end(waiting, str(waiting), WAITING)  # the settings ask for a review: not an error
    except RunStopped as stopped:
        _end(stopped, str(stopped), INTERRUPTED)
    except BudgetSpentError as spent:
        _end(spent, f"error: {spent}", BUDGET_SPENT)
    except XaiaugError as error:
        _end(error, f"error: {error}", WRONG)
    except KeyboardInterrupt as stopped:
        _end(stopped, STOPPED, INTERRUPTED)
    except Exception as error:  # noqa: BLE001  a fault of ours or of a plugin, shown while the streams are safe
        fault = f"{type(error).__name__}: {error}"
        _end(error, f"error: {fault}\nThis is a bug in xaiaug or in a plugin; {DEBUG} shows where", WRONG)


def _end(error: BaseException, message: str, code: int) -> None:
    if _debugging:
        typer.echo("".join(traceback.format_exception(error)), err=True)
    print_message(message, error=True)
    sys.exit(code)
