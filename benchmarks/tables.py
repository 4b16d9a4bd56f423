"""Writes docs/benchmarks.md from the figures in benchmarks/results, and the figures in other pages that come from them.

    python benchmarks/tables.py [--check]

In any page, `<!-- figure: NAME -->text<!-- /figure -->` is such a figure: NAME is a row of `FIGURES` below, and the
text between the marks is written here. With --check nothing is written; it fails where a page differs from the figures.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
Figures = Mapping[str, Any]

_MARK = re.compile(r"(<!-- figure: ([\w-]+) -->).*?(<!-- /figure -->)", re.DOTALL)
_HEAD = """# Benchmarks

```console
make bench
```

Speed and memory, measured side by side with what people use today, in one run each: both sides take turns, and a figure
is the median of the rounds with the quartiles behind it. Where a peer is faster, it stands here too.
`benchmarks/tables.py` writes this page from `benchmarks/results/*.json`, which hold every figure with hardware,
versions and date; nothing on it is typed by hand. What runs show is in [results](results.md).
"""


def read_results(folder: Path = RESULTS) -> dict[str, Figures]:
    """The figures of each benchmark that was run, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def format_spread(figure: Figures, form: str = ".2f", unit: str = "") -> str:
    """A median with its quartiles."""
    median, low, high = (format(figure[name], form) for name in ("median", "low", "high"))
    return f"{median}{unit}" if low == high == median else f"{median}{unit} ({low} to {high})"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; all columns but the first are aligned right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def describe_explainers(figures: Figures) -> str:
    """What explanations cost over a plain pass."""
    parts = [
        "Time and peak memory over a plain forward pass of the same batch (SDPA, inference mode), weights included;\n"
        f"float32, random weights, {figures['device']}, {figures['threads']} threads.\n"
    ]
    for table in figures["tables"]:
        rows = [
            [
                method,
                f"{row['images a second']:.1f}",
                format_spread(row["cpu ratio"], unit="x"),
                format_spread(row["clock ratio"], unit="x"),
                f"{row['memory']:.2f}x",
            ]
            for method, row in table["rows"].items()
        ]
        head = [
            f"{table['model']}, {table['pixels']} px, batch {table['batch']}",
            "images/s",
            "CPU time",
            "clock",
            "memory",
        ]
        parts.append(format_table(head, rows))
    rows = [
        [f"{row['tokens']} tokens, batch {row['batch']}", format_spread(row["cpu ratio"], ".0f", "x")]
        for row in figures["products"]
    ]
    parts.append(
        "Rollout's product over 12 maps as one row, against the product of full matrices:\n\n"
        + format_table(["", "as fast (CPU time)"], rows)
    )
    parts += [f"{name} was not run: it {reason}.\n" for name, reason in figures["not run"].items()]
    return "\n".join(parts)


def describe_training(figures: Figures) -> str:
    """An arm's training beside a bare loop."""
    rows = [
        [
            row["model"],
            format_spread(row["ours, images a second"], ".1f"),
            format_spread(row["bare loop, images a second"], ".1f"),
            format_spread(row["cpu ratio"], ".3f", "x"),
            format_spread(row["clock ratio"], ".3f", "x"),
        ]
        for row in figures["rows"]
    ]
    return (
        f"Batches of {figures['batch']} at {figures['pixels']} pixels, JPEG decoding included, {figures['device']};\n"
        "above 1x ours is the faster.\n\n"
        + format_table(["", "images/s", "bare PyTorch loop", "ratio by CPU time", "ratio by clock"], rows)
    )


def describe_calls(figures: Figures) -> str:
    """Paid calls beside the ideal rate and a plain loop."""
    rows = [
        [
            name,
            f"{figures[key]['calls']['median']:,.0f}",
            format_spread(figures[key]["rate"], ".1f"),
            format_spread(figures[key]["share_of_ideal"], ".3f"),
            format_spread(figures[key]["own_cpu_ms"]),
        ]
        for key, name in (
            ("without_limit", f"{figures['in_flight']} in flight"),
            ("without_limit_few", "the same, few calls"),
            ("with_limit", f"a service that takes {figures['service_rate']} a second"),
        )
    ]
    plain, overhead = figures["plain_loop"]["rate"], figures["overhead"]["ms_a_call"]
    return (
        f"A service in the same process that answers after {figures['latency_s']} s; every call commits its intent,\n"
        "its raw reply and its cost. The first call of a model goes alone, by design, and is not counted: its bill\n"
        "shows whether worst cases hold.\n\n"
        + format_table(["", "calls", "a second", "share of the ideal rate", "CPU ms a call"], rows)
        + f"\nOne call after another, nothing recorded: {format_spread(plain)} a second;\n"
        f"{format_spread(figures['times_the_plain_loop'], '.1f')} times that with {figures['in_flight']} in flight. Of "
        f"the\nrequests to the limited service {100 * figures['with_limit']['wasted']['median']:.1f} % were refused. A "
        f"call whose\nservice answers at once takes {format_spread(overhead)} ms.\n"
    )


def describe_loop(figures: Figures) -> str:
    """The loop itself beside a script that keeps the same things."""
    rows = [
        [
            f"{row['mistakes']:,}",
            f"{row['own_ms_a_mistake']:.2f} ms",
            f"{row['cpu_ms_a_mistake']:.2f} ms",
            f"{row['script_ms_a_mistake']:.2f} ms",
            f"{row['script_cpu_ms_a_mistake']:.2f} ms",
            f"{row['memory_mb']:.0f} MB",
            f"{row['resume_s']:.1f} s",
            f"{row['open_s']:.1f} s",
            f"{row['write_s']:.1f} s",
        ]
        for row in figures["rows"]
    ]
    header = ["mistakes", "overhead each", "CPU", "a script", "its CPU", "memory", "resume", "open", "write the report"]
    grows = (
        f"\nTime grows with the {figures['exponent']:.2f}th power of the mistakes, memory by a factor of "
        f"{figures['memory_ratio']:.2f}.\n"
        if "exponent" in figures
        else ""
    )
    return (
        "Fakes that do next to nothing on images of 16 pixels, all of them mistakes, up to the critiques. The script\n"
        "writes the same images, heatmaps and critiques to files, without syncing, checksums or a way to resume. One\n"
        "run a size.\n\n" + format_table(header, rows) + grows
    )


def describe_near_duplicates(figures: Figures) -> str:
    """Near-duplicates by blocks of hashes beside all pairs."""
    rows = [
        [
            f"{row['hashes']:,}",
            f"{row['found']} of {row['planted']}",
            format_spread(row["by blocks"], _digits(row["by blocks"]), " s"),
            f"{row['megabytes']:.0f} MB",
            format_spread(row["all pairs"], _digits(row["all pairs"]), " s"),
        ]
        for row in figures["rows"]
    ]
    return (
        "A tenth of the images against the rest, random hashes, CPU time. All pairs are compared on a sample and\n"
        "extrapolated.\n\n"
        + format_table(["images", "planted pairs found", "by blocks", "memory", "all pairs"], rows)
        + f"\nTime grows with the {figures['exponent']:.2f}th power of the number of images.\n"
    )


def describe_synthesizers(figures: Figures) -> str:
    """Diffusion synthesizers beside the pipeline that they call."""
    overhead = [
        [
            f"batch {row['batch']}",
            f"{row['direct']:.3f} s",
            f"{row['ours']:.3f} s",
            f"{row['ratio']:.4f}x ({row['low']:.4f} to {row['high']:.4f})",
        ]
        for row in figures["overhead"]
    ]
    presets = [
        [
            f"{row['memory']}, batch {row['batch']}",
            f"{row['images_per_s']:.3f}",
            f"{row['against_single']:.2f}x",
            "" if row["gib"] is None else f"{row['gib']:.2f} GiB",
        ]
        for row in figures["presets"]
    ]
    size = "SDXL's published configuration" if figures["full"] else "a small pipeline of SDXL's parts"
    return (
        f"{size[0].upper()}{size[1:]}, random weights, {figures['steps']} steps.\n\n"
        + format_table(["", "direct call", "ours", "ratio"], overhead)
        + "\n"
        + format_table(["preset", "images/s", "over one prompt at a time", "memory"], presets)
    )


def describe_data(figures: Figures) -> str:
    """Reading and checking a folder of photographs."""
    rows = [
        [name, f"{row['images']:,}", f"{row['seconds']:.2f} s", f"{1000 * row['seconds'] / row['images']:.2f} ms"]
        for name, row in figures["rows"].items()
    ]
    large = ", ".join(f"{name} {each:.1f} ms" for name, each in figures["milliseconds at 12 megapixels"].items())
    return (
        "A folder of photographs; opening them one after another is the other side of the check.\n\n"
        + format_table(["", "images", "time", "each"], rows)
        + f"\nA photograph of 12 megapixels: {large}.\n"
    )


def describe_diagnose(figures: Figures) -> str:
    """A diagnosis beside a script that predicts."""
    return (
        f"`xaiaug diagnose` on {figures['images']:,} photographs with MobileNetV2, against a script that predicts them "
        f"{figures['batch of the script']} at a time; CPU time.\n\n"
        + format_table(
            ["", "time"],
            [
                [
                    "diagnose: start, check, predictions, heatmaps and their test, critiques, report",
                    _seconds(figures["diagnose"]),
                ],
                ["the script: start, decoding, predictions", _seconds(figures["script"])],
                ["its forward passes alone", _seconds(figures["forward passes"])],
                ["diagnose over the script", format_spread(figures["over script"], unit="x")],
                ["diagnose over the forward passes", format_spread(figures["over forward passes"], unit="x")],
            ],
        )
    )


def _digits(figure: Figures) -> str:
    """The format of about three digits, without an exponent."""
    return ",.0f" if figure["median"] >= 100 else ".2f" if figure["median"] >= 1 else ".4f"


def _seconds(figure: Figures) -> str:
    return format_spread(figure, ".1f", " s")


NO_GPU = "No GPU was at hand: not measured. `make bench-gpu` measures it on a machine with one.\n"
NOT_RUN = "Not measured yet.\n"
# Name of the figures, heading, text, and what stands there without figures.
SECTIONS: tuple[tuple[str, str, Callable[[Figures], str], str], ...] = (
    ("explainers", "Explaining", describe_explainers, NOT_RUN),
    ("training", "Training", describe_training, NOT_RUN),
    ("calls", "Paid calls", describe_calls, NOT_RUN),
    ("loop", "The loop itself", describe_loop, NOT_RUN),
    ("diagnose", "Diagnosing a checkpoint", describe_diagnose, NOT_RUN),
    ("near_duplicates", "Near-duplicates", describe_near_duplicates, NOT_RUN),
    ("data", "Reading photographs", describe_data, NOT_RUN),
    ("synthesizers", "Diffusion synthesizers", describe_synthesizers, NOT_RUN),
    ("synthesizers_gpu", "On a GPU: diffusion at full size", describe_synthesizers, NO_GPU),
    ("explainers_gpu", "On a GPU: explaining", describe_explainers, NO_GPU),
    ("training_gpu", "On a GPU: training", describe_training, NO_GPU),
)


def _find_row(figures: Figures, pixels: int, batch: int, method: str) -> Figures:
    tables = figures["tables"]
    row: Figures = next(t for t in tables if (t["pixels"], t["batch"]) == (pixels, batch))["rows"][method]
    return row


# Name of the figures, and the text that they give.
FIGURES: dict[str, tuple[str, Callable[[Figures], str]]] = {
    "relevance-memory": (
        "explainers",
        lambda found: f"{_find_row(found, 224, 8, 'attention-relevance')['memory']:.1f}",
    ),
    "calls-share": ("calls", lambda found: f"{100 * found['without_limit']['share_of_ideal']['median']:.0f} %"),
    "calls-few-share": ("calls", lambda found: f"{100 * found['without_limit_few']['share_of_ideal']['median']:.0f} %"),
    "near-duplicates-million": ("near_duplicates", lambda found: f"{found['rows'][-1]['by blocks']['median']:.0f} s"),
    "loop-largest": ("loop", lambda found: f"{found['rows'][-1]['mistakes']:,}"),
    "loop-largest-cpu": ("loop", lambda found: f"{found['rows'][-1]['cpu_s']:.0f} s"),
    "loop-largest-memory": ("loop", lambda found: f"{found['rows'][-1]['memory_mb']:.0f} MB"),
    "diagnose-ratio": ("diagnose", lambda found: f"{found['over forward passes']['median']:.1f}"),
}


def render_page(results: Mapping[str, Figures]) -> str:
    """docs/benchmarks.md."""
    parts = [_HEAD]
    for name, heading, describe, otherwise in SECTIONS:
        found = results.get(name)
        if found is None:
            parts.append(f"## {heading}\n\n{otherwise}")
            continue
        command = " ".join(_hide_paths(found["command"]))
        origin = f"{found['date']}, {found['machine']['summary']}{_gpu_of(found)}."
        parts.append(f"## {heading}\n\n```console\npython benchmarks/{command}\n```\n\n{describe(found)}\n{origin}\n")
    return "\n".join(parts)


def _hide_paths(command: Sequence[str]) -> list[str]:
    """The command without the paths of the machine that it ran on, and without where its figures went."""
    names = {"--data": "SHARED", "--json": None, "--folder": None}
    shown: list[str] = []
    skipped = False
    for before, word in zip(["", *command], command, strict=False):
        if before in names and not skipped:
            shown += [names[before]] if names[before] else []
            skipped = True
            continue
        skipped = False
        shown += [] if names.get(word, word) is None else [word]
    return shown


def _gpu_of(found: Figures) -> str:
    return f", {found['machine']['gpu']}" if found["machine"]["gpu"] else ""


def fill_figures(text: str, results: Mapping[str, Figures]) -> str:
    """The text with its marked figures as they were measured; what was not measured stays."""

    def fill(found: re.Match[str]) -> str:
        name, describe = FIGURES[found[2]]
        return f"{found[1]}{describe(results[name])}{found[3]}" if name in results else found[0]

    return _MARK.sub(fill, text)


def list_pages() -> list[Path]:
    """The pages that may hold figures."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def render_documents() -> dict[Path, str]:
    """What each page should be."""
    results = read_results()
    pages = {path: fill_figures(path.read_text(encoding="utf-8"), results) for path in list_pages()}
    return {**pages, PAGE: render_page(results)}


def find_differences() -> list[Path]:
    """The pages that are not what the figures say."""
    return [
        path
        for path, text in render_documents().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def write_documents() -> None:
    """Writes the pages that differ."""
    for path in find_differences():
        path.write_text(render_documents()[path], encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")


def main() -> None:
    """Writes, or checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page differs")
    if not parser.parse_args().check:
        write_documents()
    elif differing := find_differences():
        sys.exit("not what the figures say: " + ", ".join(str(path.relative_to(ROOT)) for path in differing))


if __name__ == "__main__":
    main()
