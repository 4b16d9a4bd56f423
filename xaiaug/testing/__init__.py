"""Checks, fakes and templates for plugin authors, and a local server that stands in for the paid services."""

from .conformance import CheckOutcome, checks_for, parametrize_checks, run_checks
from .fakes import NearestColour, PlainColour, Ramp, ScriptedCritic
from .loopback import Bill, Cut, Delay, Drip, Error, Limit, Loopback, Picture, Raw, Reply, Request, Step, Violation
from .new_plugin import new_plugin
from .small import small_folder, small_splits

__all__ = [
    "Bill",
    "CheckOutcome",
    "Cut",
    "Delay",
    "Drip",
    "Error",
    "Limit",
    "Loopback",
    "NearestColour",
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
