"""The commands that start work, or say what it will take: run, plan, diagnose, exam and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..credentials import trust_hosts
from .options import (
    AsJson,
    Budget,
    Config,
    Limit,
    Offline,
    Parameters,
    RunDir,
    Set,
    Steps,
    TrustHost,
    Until,
    Upload,
    Yes,
    read_loop,
)
from .terminal import print_json


def run(  # noqa: PLR0913, PLR0917  the options of the command
    config: Config,
    run_dir: RunDir = Path("runs/first"),
    until: Until = None,
    limit: Limit = None,
    steps: Steps = None,
    settings: Set = None,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    trust_host: TrustHost = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Run a settings file or resume its run. On a terminal, it asks before spending money."""
    from .confirm import confirm_spending, show_address_notes
    from .progress_display import show_progress
    from .run_summary import show_result

    trust_hosts(trust_host or ())
    loop = read_loop(
        config,
        limit=limit,
        steps=steps,
        settings=settings,
        budget_usd=budget_usd,
        allow_upload=allow_upload,
        offline=offline,
    )
    show_address_notes(loop)
    if not yes:
        confirm_spending(loop, lambda: loop.plan(run_dir=run_dir, until=until))
    with show_progress() as watch:
        result = loop.run(run_dir=run_dir, until=until, watch=watch)
    show_result(result, as_json=as_json)


def plan(  # noqa: PLR0913, PLR0917  the options of the command
    config: Config,
    run_dir: RunDir = Path("runs/first"),
    until: Until = None,
    limit: Limit = None,
    steps: Steps = None,
    settings: Set = None,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    trust_host: TrustHost = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Time a few images on this machine; loads the weights, sends nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Estimate what a run will take. Shows calls, dollars, images, hours and bytes, arm by arm; spends nothing."""
    from .confirm import show_address_notes
    from .plan import print_plan

    trust_hosts(trust_host or ())
    loop = read_loop(
        config,
        limit=limit,
        steps=steps,
        settings=settings,
        budget_usd=budget_usd,
        allow_upload=allow_upload,
        offline=offline,
        planning=True,
    )
    show_address_notes(loop)
    run_plan = loop.plan(run_dir=run_dir, until=until, probe=probe)
    if as_json:
        print_json(run_plan.to_json())
    else:
        print_plan(run_plan)


def diagnose(  # noqa: PLR0913, PLR0917  the options of the command
    data: Annotated[Path, typer.Argument(help="Images: class/image, or split/class/image with a guide split.")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Folder of a trained classifier, or an ONNX file.")],
    run_dir: RunDir = Path("runs/diagnose"),
    explainer: Annotated[str, typer.Option("--explainer", help="Name of an explainer.")] = "auto",
    critic: Annotated[str, typer.Option("--critic", help="Name of a critic.")] = "measured",
    limit: Limit = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="Classes of an ONNX file: cat,dog or a file with one per line.")
    ] = None,
    parameters: Parameters = None,
    test_causes: Annotated[bool, typer.Option("--test-causes", help="Test the stated causes by experiment.")] = False,
    slices: Annotated[bool, typer.Option("--slices", help="Look for groups of mistakes.")] = False,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    trust_host: TrustHost = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Diagnose the mistakes of a trained classifier. Shows where it looked and why; no training, no test set.

    --set sets parameters of the classifier.
    """
    from ..loop.diagnose import LAST_STEP, diagnosis_settings, prepare_diagnosis
    from .confirm import confirm_spending, show_address_notes
    from .parameters import parse_parameters, read_labels
    from .progress_display import show_progress
    from .run_summary import show_result

    trust_hosts(trust_host or ())
    settings = diagnosis_settings(
        limit,
        budget_usd,
        allow_upload=bool(allow_upload),
        offline=bool(offline),
        test_causes=test_causes,
        slices=slices,
    )
    loop, splits = prepare_diagnosis(
        checkpoint,
        data,
        explainer,
        critic,
        labels=read_labels(labels),
        parameters=parse_parameters(parameters or []),
        settings=settings,
    )
    show_address_notes(loop)
    if not yes:
        confirm_spending(loop, lambda: loop.plan(splits, run_dir, LAST_STEP))
    with show_progress() as watch:
        result = loop.run(splits, run_dir, LAST_STEP, watch=watch)
    show_result(result, as_json=as_json)


def exam(  # noqa: PLR0913, PLR0917  the options of the command
    critic: Annotated[str, typer.Argument(help="Name of a critic, as `xaiaug plugins list critic` lists them.")],
    run_dir: RunDir = Path("runs/exam"),
    data: Annotated[
        Path | None, typer.Option("--data", help="Photographs by class, to plant causes on; drawings by default.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Masks of their subjects, ID.png; adds planted backdrops.")
    ] = None,
    segmenter: Annotated[
        str | None, typer.Option("--segmenter", help="A model that finds their subjects: ONNX file or folder.")
    ] = None,
    cases: Annotated[int, typer.Option("--cases", help="Mistakes with each kind of map, as many of each cause.")] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Of the images.")] = 0,
    parameters: Parameters = None,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Show calls and dollars, without asking the critic.")
    ] = False,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    trust_host: TrustHost = None,
    as_json: AsJson = False,
) -> None:
    """Test a critic on planted causes. Does it name them, and does it read the map?"""
    from ..loop.critic_exam import CriticExam
    from .exam_display import plan_exam, print_exam, print_exam_plan
    from .parameters import parse_parameters
    from .progress_display import show_progress

    trust_hosts(trust_host or ())
    examination = CriticExam(
        critic,
        run_dir,
        parameters=parse_parameters(parameters or []),
        data=data,
        masks=masks,
        segmenter=segmenter,
        cases=cases,
        seed=seed,
        budget_usd=budget_usd,
        allow_upload=bool(allow_upload),
        offline=bool(offline),
    )
    if plan_only:
        planned = plan_exam(examination)
        if as_json:
            print_json(planned)
        else:
            print_exam_plan(planned)
        return
    with show_progress() as watch:
        found = examination.run(watch)
    if as_json:
        print_json({"report": str(run_dir / "exam.html"), **found.model_dump(mode="json", exclude={"cases"})})
    else:
        print_exam(found, run_dir)


def demo(run_dir: RunDir = Path("runs/demo"), as_json: AsJson = False) -> None:
    """Run the entire loop on drawn cats and dogs. Needs no key, GPU or download."""
    from ..demo import demo as run_demo
    from .progress_display import show_progress
    from .run_summary import show_result

    with show_progress() as watch:
        result = run_demo(run_dir, watch=watch)
    show_result(result, as_json=as_json)
