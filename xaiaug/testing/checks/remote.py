"""Checks of plugins that call a paid service; a server on this machine stands in for it."""

from __future__ import annotations

from ..loopback import Loopback
from .assertions import NotApplicableError, expect
from .bench import Bench
from .check_registry import check


@check(when=lambda plugin: plugin.remote)
def names_the_receiver(bench: Bench) -> None:
    """estimate names the receiver of the images before any is sent."""
    receiver = bench.create().estimate(1).receiver
    expect(isinstance(receiver, str) and receiver, "estimate(1).receiver must name who receives what is sent")


@check(when=lambda plugin: plugin.remote)
def pays_through_the_context(bench: Bench) -> None:
    """Every request goes through context.paid, which keeps the budget."""
    bench.run(bench.plugin, bench.items())
    server = _called_server(bench)
    expect(
        len(server.requests) + len(server.violations) <= bench.paid.sent,
        f"{len(server.requests)} requests reached the service, {bench.paid.sent} of them through context.paid",
    )


@check(when=lambda plugin: plugin.remote)
def pays_only_once(bench: Bench) -> None:
    """The same items again send nothing: equal work has equal keys, so that a resumed run pays nothing twice."""
    bench.run(bench.plugin, bench.items())
    first = len(_called_server(bench).requests)
    bench.run(bench.plugin, bench.items())
    more = len(_called_server(bench).requests) - first
    expect(not more, f"the same items again sent {more} more requests: keys must depend on the items alone")


def _called_server(bench: Bench) -> Loopback:
    if bench.server is None or not (bench.server.requests or bench.server.violations):
        raise NotApplicableError("it sent nothing to the stand-in server")
    return bench.server
