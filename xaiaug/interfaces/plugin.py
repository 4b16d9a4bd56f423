"""The base of every plugin: its parameters, its version and its identity in keys."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import PluginError
from ..records import JSON, Estimate
from .context import Context
from .source_digest import source_digest


class Plugin(ABC):  # noqa: B024  each kind of plugin has abstract methods of its own
    """Base of every plugin.

    `__init__` only stores JSON-plain parameters under their own names: keys, settings tables, pickles and suggestions
    for misspelt names follow from its signature. Weights are loaded in `prepare`.

    Attributes:
        version: part of every key, beside a digest of the sources that the results depend on (see `source_digest`);
            raise it when results change for another reason.
        batch_size: the most items that one call receives.
        uses: of synthesizers only: which of "prompt", "guidance", "image" and "map" they read.
        drawn_world: whether its results are about a drawn world, not about photographs.
        remote: whether it calls an outside service; refused when offline, called from the driver's threads only.
        expected_failures: checks of `xaiaug.testing` that it is known to fail, by name, each with the reason.
    """

    version: ClassVar[str] = "1"
    batch_size: int = 16
    uses: frozenset[str] = frozenset()
    drawn_world: ClassVar[bool] = False
    remote: bool = False
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def check(self) -> None:  # noqa: B027  (optional on purpose)
        """Raises early what would stop the work later, such as a missing key. Loads nothing.

        Raises:
            ConfigError: a parameter or a key is missing or wrong.
            MissingExtraError: a package is not installed.
        """

    def prepare(self, context: Context) -> None:  # noqa: B027  (optional on purpose)
        """Prepares for work: called once per process before the first batch, and again with another context.

        Args:
            context: what the plugin may know about the run.
        """

    def estimate(self, items: int) -> Estimate:  # noqa: ARG002  (for plugins to use)
        """Estimates what work on so many items will take, for `xaiaug plan`. Loads no weights.

        Args:
            items: cases of a critic, images of a synthesizer, images of a classifier or explainer.
        """
        return Estimate()

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Names of the parameters of `__init__`, in order."""
        if cls.__init__ is object.__init__:
            return ()
        return tuple(inspect.signature(cls).parameters)

    def parameters(self) -> dict[str, JSON]:
        """The parameters by name, as `__init__` received them.

        Raises:
            PluginError: `__init__` did not store one.
        """
        missing = [name for name in self.parameter_names() if not hasattr(self, name)]
        if missing:
            raise PluginError(
                f"{type(self).__name__}.__init__ must store each parameter under its own name, as in "
                f"self.{missing[0]} = {missing[0]}"
            )
        return {name: getattr(self, name) for name in self.parameter_names()}

    def identity(self) -> dict[str, JSON]:
        """What a result depends on besides its inputs: class, version, source and parameters.

        The source is None where it cannot be read (a class defined at a prompt): such results are not reused.
        """
        kind = type(self)
        return {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "version": self.version,
            "source": source_digest(kind),
            "parameters": self.parameters(),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles class and parameters, not what `prepare` loaded."""
        return _rebuild, (type(self), self.parameters())

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({parameters})"


@dataclass(frozen=True)
class PluginInfo:
    """A plugin as the registry knows it without importing it.

    Attributes:
        name: the name that users ask for.
        kind: "classifier", "explainer", "critic" or "synthesizer"; "plugin" for a package that failed to load.
        origin: the entry point or module that registered it.
        extra: the extra that installs what it needs, such as "claude"; None for the core.
        error: why it cannot be used; None when it can.
    """

    name: str
    kind: str
    origin: str
    extra: str | None = None
    error: str | None = None


def _rebuild(kind: type[Plugin], parameters: dict[str, JSON]) -> Plugin:
    return kind(**parameters)
