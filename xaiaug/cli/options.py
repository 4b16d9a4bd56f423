"""Options that several commands share, and the loop that a settings file and these options describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..loop import FeedbackLoop

RunDir = Annotated[Path, typer.Option("--run-dir", help="The run folder; an existing run is resumed.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Config = Annotated[Path, typer.Argument(metavar="SETTINGS", help="A settings file in TOML.")]
Until = Annotated[str | None, typer.Option("--until", help="Stop after mistakes, explain, critique, images or report.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Analyse at most this many mistakes.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Limit each training to this many steps.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a setting of the file; the value is TOML."),
]
Parameters = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; the value is TOML.")
]
Budget = Annotated[float | None, typer.Option("--budget-usd", help="Spend at most this many dollars.")]
Upload = Annotated[
    bool | None,
    typer.Option("--allow-upload/--no-upload", help="Allow or forbid uploads; overrides the settings file."),
]
Offline = Annotated[
    bool | None,
    typer.Option("--offline/--online", help="Block or allow outside services; overrides the settings file."),
]
TrustHost = Annotated[
    list[str] | None,
    typer.Option("--trust-host", help="A host that may receive images and a key, in addition to known providers."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Spend up to the budget without asking.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def read_loop(
    config: Path,
    *,
    limit: int | None,
    steps: int | None,
    settings: list[str] | None,
    budget_usd: float | None,
    allow_upload: bool | None,
    offline: bool | None,
    planning: bool = False,
) -> FeedbackLoop:
    """The loop that a settings file describes, with these options over it: the same for `plan` and `run`.

    Raises:
        XaiaugError: as of `FeedbackLoop.from_config`.
        BadParameter: a setting is not TABLE.KEY=VALUE.
    """
    from ..loop import FeedbackLoop
    from .parameters import parse_overrides

    return FeedbackLoop.from_config(
        config,
        overrides=parse_overrides(settings or ()),
        limit=limit,
        steps=steps,
        budget_usd=budget_usd,
        allow_upload=allow_upload,
        offline=offline,
        planning=planning,
    )
