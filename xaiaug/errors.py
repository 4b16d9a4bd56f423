"""Errors: what can go wrong, each with who, what was expected, what came and what to do.

XaiaugError
├── ConfigError (ValueError)              a setting that cannot be used
├── DataError (ValueError)                images, labels or splits that cannot be used
├── RecordError (ValueError)              a record built with impossible values
├── UnknownPluginError (LookupError)      no plugin of that kind and name
├── DuplicatePluginError (ValueError)     two plugins of one kind claim one name
├── PluginError (RuntimeError)            a plugin broke its contract, or failed on every item
├── CheckFailedError (AssertionError)     a plugin does not keep a law that xaiaug.testing checks
├── MissingExtraError (ImportError)       an optional dependency is not installed
├── NotFittedError (RuntimeError)         a classifier without a trained head was asked to predict
├── UnsupportedRecipeError (ValueError)   a classifier cannot train that way
├── UndefinedMethodError (TypeError)      an explanation method is not defined for that model
├── BudgetError (RuntimeError)            two training arms would not get the same budget
├── OfflineError (PermissionError)        an outside service was asked for while offline
├── UnknownPriceError (LookupError)       what a model costs is not known, so it is not called
├── CallError (RuntimeError)              one call to an outside service failed
├── CallsStoppedError (RuntimeError)      paid calls cannot go on now; all that was paid for is kept
│   ├── BudgetSpentError                  the next call might cost more than the budget leaves
│   ├── CallsRefusedError                 the service refuses every call: key, account or model
│   ├── CallsPausedError                  the service asks to wait for longer than a run should
│   └── CallsFailingError                 too many of the last items failed
├── RunStopped (RuntimeError)             the run was asked to stop, and did so between two chunks
│   └── WaitingForReview                  a person is to look at the new images first
└── RunFolderError (OSError)              the run folder cannot be read or written
    └── RunLockedError                    another process owns the run folder
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal


class XaiaugError(Exception):
    """Base of every error this library raises on purpose."""


class ConfigError(XaiaugError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(XaiaugError, ValueError):
    """Images, labels or splits cannot be used as they are."""


class RecordError(XaiaugError, ValueError):
    """A record was built with values outside its stated range."""


class UnknownPluginError(XaiaugError, LookupError):
    """No plugin of that kind is registered under that name."""


class DuplicatePluginError(XaiaugError, ValueError):
    """Two plugins of one kind claim the same name."""


class PluginError(XaiaugError, RuntimeError):
    """A plugin broke its contract, or failed on every item it was given."""


class CheckFailedError(XaiaugError, AssertionError):
    """A plugin does not keep a law that `xaiaug.testing` checks."""


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
    """An outside service was asked for although the run is offline."""


class UnknownPriceError(XaiaugError, LookupError):
    """What a model costs is not known; the message says how to give its price."""


class CallError(XaiaugError, RuntimeError):
    """One call to an outside service failed.

    Args:
        kind: "retry" (it may work later), "fatal" (no call will work) or "item" (this one never will).
        message: what the service said.
        status: the HTTP status; None where no answer came.
        retry_after_s: how long the service asks to wait; None where it does not say.
        reached: whether the request may have reached the service, and may be billed if no answer came.
    """

    def __init__(
        self,
        kind: Literal["retry", "fatal", "item"],
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        reached: bool = True,
    ) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.reached = reached

    def __str__(self) -> str:
        return self.message


class CallsStoppedError(XaiaugError, RuntimeError):
    """Paid calls cannot go on now; replies that were paid for are kept, and the same command goes on."""


class BudgetSpentError(CallsStoppedError):
    """The next call might cost more than the budget leaves."""


class CallsRefusedError(CallsStoppedError):
    """The service refuses every call; the message says what to do."""


class CallsPausedError(CallsStoppedError):
    """The service asks to wait for longer than a run should; the message says until when."""


class CallsFailingError(CallsStoppedError):
    """Too many of the last items failed; the message tells the last failure."""


class RunStopped(XaiaugError, RuntimeError):  # noqa: N818  it is no fault
    """The run was asked to stop; what is finished is kept, and the same command goes on."""


class WaitingForReview(RunStopped):
    """New images wait until a person has looked; the same command then goes on."""


class RunFolderError(XaiaugError, OSError):
    """The run folder cannot be read or written, or does not hold what it should."""


class RunLockedError(RunFolderError):
    """Another process owns the run folder."""


def suggest(name: str, known: Iterable[str]) -> str:
    """A sentence for the end of a message: the nearest of the known names, or all of them."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}? Known: {', '.join(names)}."
    return f"Known: {', '.join(names) or 'none'}."
