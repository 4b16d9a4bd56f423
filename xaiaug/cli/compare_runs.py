"""The command `compare`: two runs arm by arm, on the same test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, RunFolder
from .table_layout import print_table
from .terminal import print_json, print_line

if TYPE_CHECKING:
    from ..results.run_comparison import ComparedArm, RunComparison

_SHOWN = 8


def compare(
    run_dir: RunFolder,
    other: Annotated[Path, typer.Argument(metavar="RUN", help="Another run folder, compared with the first.")],
    as_json: AsJson = False,
) -> None:
    """Compare two runs arm by arm. Shows the difference of the second to the first, on the same test images.

    Runs with different test images or classes are shown side by side, without a difference.
    """
    from ..loop.settings_diff import diff_settings
    from ..results import open_run

    first, second = open_run(run_dir), open_run(other)
    found = first.compare(second)
    differing = [(change.key, change.before, change.after) for change in diff_settings(first.snapshot, second.snapshot)]
    if as_json:
        keys = ("setting", "first", "second")
        print_json({**found.to_json(), "settings": [dict(zip(keys, one, strict=True)) for one in differing]})
        return
    _print_settings([f"{key}: {before!r} -> {after!r}" for key, before, after in differing])
    _print_comparison(found)


def _print_settings(differing: list[str]) -> None:
    print_line("what differs:" if differing else "no setting differs")
    for line in differing[:_SHOWN]:
        print_line(f"  {line}")
    if len(differing) > _SHOWN:
        print_line(f"  and {len(differing) - _SHOWN} more (--json has all)")
    print_line("")


def _print_comparison(found: RunComparison) -> None:
    if found.paired:
        print_line(f"{found.metric} on the same {found.images[0]:,} test images, in percent and points")
        print_table(("arm", "seeds", "first", "second", "difference", "interval", "p", "fixed", "broken"), _rows(found))
    else:
        print_line(f"not paired: {found.reason}. No difference is given; {found.metric} in percent:")
        print_table(("arm", "seeds", "first", "second"), [row[:4] for row in _rows(found)])
    print_line("")
    for names, place in zip(found.missing, ("first", "second"), strict=True):
        if names:
            print_line(f"not in the {place} run: {', '.join(names)}")
    for remark in found.remarks:
        print_line(f"! {remark}")
    if found.paired:
        print_line(
            "· p-values and 95 % intervals cover all arms together; choosing a run by them means choosing it on the "
            "test split"
        )


def _rows(found: RunComparison) -> list[tuple[str, ...]]:
    return [
        (
            arm.name,
            _name_seeds(arm),
            *(f"{100 * score:.1f}" for score in arm.scores),
            _signed(arm.difference),
            f"{_signed(arm.low)} to {_signed(arm.high)}" if arm.low is not None else "–",
            "–" if arm.p is None else f"{arm.p:.2g}",
            *("–" if count is None else f"{count:.0f}" for count in (arm.fixed, arm.broken)),
        )
        for arm in found.arms
    ]


def _name_seeds(arm: ComparedArm) -> str:
    one, other = (",".join(map(str, seeds)) for seeds in arm.seeds)
    return one if one == other else f"{one}|{other}"


def _signed(share: float | None) -> str:
    return "–" if share is None else f"{100 * share + 0.0:+.1f}".replace("-", "−")
