"""Errors that xaiaug raises, and a category of warnings; a message names cause, expected, found and what to do.

XaiaugError
├── ConfigError (ValueError)              a setting that cannot be used
├── DataError (ValueError)                images, labels or splits that cannot be used
├── RecordError (ValueError)              a record with invalid values
├── UnknownPluginError (LookupError)      no plugin of that kind and name
├── DuplicatePluginError (ValueError)     two plugins of one kind claim one name
├── PluginError (RuntimeError)            a plugin broke its contract, or failed on every item
├── CheckFailedError (AssertionError)     a plugin violates a law that xaiaug.testing checks
├── MissingExtraError (ImportError)       an optional dependency is not installed
├── NotFittedError (RuntimeError)         a classifier without a trained head was asked to predict
├── UnsupportedRecipeError (ValueError)   a classifier cannot train that way
├── UndefinedMethodError (TypeError)      an explanation method is not defined for that model
├── BudgetError (RuntimeError)            two training arms would not get the same budget
├── OfflineError (PermissionError)        an outside service was needed while offline
├── UnknownPriceError (LookupError)       the price of a model is unknown, so it is not called
├── CallError (RuntimeError)              one call to an outside service failed
├── CallsStoppedError (RuntimeError)      paid calls cannot continue now; all paid replies are kept
│   ├── BudgetSpentError                  the next call might exceed the budget
│   ├── CallsRefusedError                 the service refuses every call: key, account or model
│   ├── CallsPausedError                  the service asks to wait longer than a run should
│   └── CallsFailingError                 too many of the last items failed
├── RunStopped (RuntimeError)             the run was asked to stop, and stopped between two chunks
│   └── WaitingForReview                  the new images must be reviewed first
└── RunFolderError (OSError)              the run folder cannot be read or written
    ├── RunLockedError                    another process owns the run folder
    └── RunCutShortError                  its ledger cannot be read until the next run has undone what a kill left

DataWarning (UserWarning)                 data that can be used, and may not be what you think it is
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal


class XaiaugError(Exception):
    """Base of every error this library raises on purpose."""


class ConfigError(XaiaugError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(XaiaugError, ValueError):
    """Images, labels or splits cannot be used."""


class DataWarning(UserWarning):
    """Data can be used, and may not be what the user thinks it is."""


class RecordError(XaiaugError, ValueError):
    """A record was built with invalid values."""


class UnknownPluginError(XaiaugError, LookupError):
    """No plugin of that kind is registered under that name."""


class DuplicatePluginError(XaiaugError, ValueError):
    """Two plugins of one kind claim the same name."""


class PluginError(XaiaugError, RuntimeError):
    """A plugin broke its contract, or failed on every item it was given."""


class CheckFailedError(XaiaugError, AssertionError):
    """A plugin violates a rule that `xaiaug.testing` checks."""


class MissingExtraError(XaiaugError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class NotFittedError(XaiaugError, RuntimeError):
    """A classifier without a trained head was asked to predict."""


class UnsupportedRecipeError(XaiaugError, ValueError):
    """A classifier cannot do what the recipe asks; raised before training starts."""


class UndefinedMethodError(XaiaugError, TypeError):
    """An explanation method is not defined for that model; the message names one that is."""


class BudgetError(XaiaugError, RuntimeError):
    """Two training arms would not get the same budget."""


class OfflineError(XaiaugError, PermissionError):
    """An outside service was needed although the run is offline."""


class UnknownPriceError(XaiaugError, LookupError):
    """The price of a model is unknown; the message says how to set it."""


class CallError(XaiaugError, RuntimeError):
    """One call to an outside service failed.

    Args:
        kind: "retry" (it may work later), "fatal" (no call will work), "item" (this call will not work) or "refusal" (a
            filter of the service declined this one).
        message: the service's message.
        status: the HTTP status; None without a response.
        retry_after_s: how long the service asks to wait; None if unspecified.
        reached: whether the request may have reached the service, and so may be billed without a response.
        timed_out: whether the service took the request, and did not answer in time.
        billed: whether it may be billed; None: judged by the status.
    """

    def __init__(
        self,
        kind: Literal["retry", "fatal", "item", "refusal"],
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        reached: bool = True,
        timed_out: bool = False,
        billed: bool | None = None,
    ) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.reached = reached
        self.timed_out = timed_out
        self.billed = billed

    def __str__(self) -> str:
        return self.message


class CallsStoppedError(XaiaugError, RuntimeError):
    """Paid calls cannot continue now; paid replies are kept. Rerun the same command to resume."""


class BudgetSpentError(CallsStoppedError):
    """The next call might exceed the budget."""


class CallsRefusedError(CallsStoppedError):
    """The service refuses every call; the message says what to do."""


class CallsPausedError(CallsStoppedError):
    """The service asks to wait longer than a run should; the message says until when."""


class CallsFailingError(CallsStoppedError):
    """Too many of the last items failed; the message quotes the last failure."""


class RunStopped(XaiaugError, RuntimeError):  # noqa: N818  not an error
    """The run was asked to stop; finished work is kept. Rerun the same command to resume."""


class WaitingForReview(RunStopped):
    """New images must be reviewed first; then rerun the same command to resume."""


class RunFolderError(XaiaugError, OSError):
    """The run folder cannot be read or written, or its contents are damaged."""


class RunLockedError(RunFolderError):
    """Another process owns the run folder."""


class RunCutShortError(RunFolderError):
    """A run was killed while its ledger was opened or closed; rerun the same command to repair it."""


def suggest(name: str, known: Iterable[str]) -> str:
    """The last sentence of a message about an unknown name: the closest known name, and known names."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = name_some(names, most=40) or "none"
    return f"Did you mean {close[0]!r}? Known: {listed}." if close else f"Known: {listed}."


def name_some(names: Iterable[str], most: int = 6) -> str:
    """The first few names, each cut to 80 characters, and how many more there are."""
    known = [name if len(name) <= 80 else f"{name[:79]}…" for name in names]
    more = len(known) - most
    return ", ".join(known[:most]) + (f" and {more} more" if more > 0 else "")
