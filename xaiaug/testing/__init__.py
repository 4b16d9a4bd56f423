"""Checks and fakes for plugin authors, and a server that plays the paid services on this machine."""

from .conformance import Outcome, checks_for, parametrize_checks, run_checks
from .fakes import NearestColour, PlainColour, Ramp, ScriptedCritic
from .loopback import Bill, Cut, Delay, Drip, Error, Limit, Loopback, Picture, Raw, Reply, Request, Step, Violation
from .new_plugin import new_plugin
from .small import small_folder, small_splits

__all__ = [
    "Bill",
    "Cut",
    "Delay",
    "Drip",
    "Error",
    "Limit",
    "Loopback",
    "NearestColour",
    "Outcome",
    "Picture",
    "PlainColour",
    "Ramp",
    "Raw",
    "Reply",
    "Request",
    "ScriptedCritic",
    "Step",
    "Violation",
    "checks_for",
    "new_plugin",
    "parametrize_checks",
    "run_checks",
    "small_folder",
    "small_splits",
]
