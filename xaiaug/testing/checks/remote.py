"""Checks of plugins that talk to an outside service; a server on this machine plays it."""

from __future__ import annotations

from ..loopback import Loopback
from .bench import Bench
from .check_registry import NotApplicableError, check, expect


@check(when=lambda plugin: plugin.remote)
def says_who_receives(bench: Bench) -> None:
    """estimate names the receiver: who gets the images is told before any is sent."""
    receiver = bench.made().estimate(1).receiver
    expect(isinstance(receiver, str) and receiver, "estimate(1).receiver must name who gets what is sent")


@check(when=lambda plugin: plugin.remote)
def pays_through_the_context(bench: Bench) -> None:
    """Every request goes through context.paid, where the budget is kept."""
    bench.work(bench.plugin, bench.items())
    server = _asked(bench)
    expect(
        len(server.requests) + len(server.violations) <= bench.till.sent,
        f"{len(server.requests)} requests reached the service, {bench.till.sent} of them through context.paid",
    )


@check(when=lambda plugin: plugin.remote)
def asks_only_once(bench: Bench) -> None:
    """The same items again send nothing: equal work has equal keys, so that a run that goes on pays nothing twice."""
    bench.work(bench.plugin, bench.items())
    first = len(_asked(bench).requests)
    bench.work(bench.plugin, bench.items())
    again = len(_asked(bench).requests) - first
    expect(not again, f"the same items again sent {again} more requests: keys must follow from the items alone")


def _asked(bench: Bench) -> Loopback:
    if bench.server is None or not (bench.server.requests or bench.server.violations):
        raise NotApplicableError("it sent nothing to the server that plays the services")
    return bench.server
