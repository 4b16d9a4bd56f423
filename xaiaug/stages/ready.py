"""Prepares a plugin before its first batch, once a process."""

from __future__ import annotations

from threading import Lock

from ..interfaces import Context, Plugin
from .blame import blamed


class Ready:
    """Prepares a plugin when it is first needed, whichever thread comes first.

    Args:
        plugin: not yet prepared.
        context: what it may know.
    """

    def __init__(self, plugin: Plugin, context: Context) -> None:
        self._plugin, self._context = plugin, context
        self._lock = Lock()
        self._done = False

    def __call__(self) -> None:
        """Returns when the plugin is ready."""
        with self._lock:
            if not self._done:
                with blamed(f"{type(self._plugin).__name__}.prepare"):
                    self._plugin.prepare(self._context)
                self._done = True
