"""Checks and fakes for plugin authors: a server that plays the paid services on this machine."""

from .loopback import Bill, Cut, Delay, Drip, Error, Limit, Loopback, Picture, Raw, Reply, Request, Step, Violation

__all__ = [
    "Bill",
    "Cut",
    "Delay",
    "Drip",
    "Error",
    "Limit",
    "Loopback",
    "Picture",
    "Raw",
    "Reply",
    "Request",
    "Step",
    "Violation",
]
