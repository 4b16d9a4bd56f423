"""How large the report page is, how long it takes to write, and how fast it answers, without and with new images.

    python benchmarks/report.py [--data FOLDER] [--quick | --small] [--json FILE]

FOLDER holds photographs, as `Splits.from_folder` takes them; without it cats and dogs are drawn, whose pictures are
smaller. Each mistake has an image of 384 pixels and a heatmap of that size, read from the blobs of a run folder; a
critique, and every second one a slice and a tested cause. Times in the browser need playwright and Chromium: of the
first paint, and from a choice in a filter, or a word in the search, to the next frame.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reporting import create_parser, describe_machine, write_json

from xaiaug import Splits, petworld
from xaiaug.report import Report
from xaiaug.report.page import render
from xaiaug.report.schema_cases import CaseRow, CritiqueRow, ImageRow, Images, Mistakes, PairCount
from xaiaug.report.schema_causes import EditedImageRow, StatedCauseRow, TestedCauseRow
from xaiaug.report.schema_report import Data
from xaiaug.report.schema_slices import SliceRow, SlicesRow
from xaiaug.store.blobs import Blob, Blobs

MISTAKES, SMALL, QUICK = 2000, 400, 40
NEW = 5  # images for each mistake
SIDE, NEW_SIDE = 384, 256  # of the copies that a run keeps, and of new images
DRAWN, DRAWN_SIDE = 12, 192  # different drawings
EACH = 20  # choices in a filter
LABELS = ("cat", "dog")
SEED = 0
MEGABYTE = 1e6
COPY, DISTINCT = "@", 300  # blobs of different content; the others are copies of them
COLUMNS = (
    "mistakes",
    "new images",
    "write_s",
    "write_cpu_s",
    "megabytes",
    "first_paint_s",
    "ready_s",
    "filter_ms",
    "filter_cpu_ms",
    "search_ms",
)


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    mistakes = QUICK if options.quick else SMALL if options.small else MISTAKES
    with tempfile.TemporaryDirectory() as folder:
        blobs = Blobs(Path(folder))
        material = _Material(blobs, options.data, mistakes)
        rows = {name: _measure(material.report(new), blobs, Path(folder)) for name, new in _CASES.items()}
    print(f"{'':<20}" + "".join(f"{column:>14}" for column in COLUMNS))
    for name, row in rows.items():
        print(f"{name:<20}" + "".join(f"{_format(row.get(column)):>14}" for column in COLUMNS))
    print(f"pictures: {'photographs' if options.data else 'drawn'}; {describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"rows": rows, "photographs": bool(options.data)}, seeds=[SEED])


_CASES = {"diagnosis": 0, "with new images": NEW}


class _Material:
    """Blobs of so many mistakes, and reports that name them."""

    def __init__(self, blobs: Blobs, data: Path | None, mistakes: int) -> None:
        self.blobs, self.mistakes = blobs, mistakes
        distinct = min(mistakes, DISTINCT)
        self.names = [self._keep(image, SIDE) for image in itertools.islice(_images(data), distinct)]
        self.new = [self._keep(image, NEW_SIDE) for image in itertools.islice(_images(data), distinct)]
        generator = np.random.default_rng(SEED)
        self.maps = [self._keep_map(generator) for _ in range(distinct)]

    def _keep(self, image: Image.Image, side: int) -> str:
        image = image.convert("RGB")
        image = image.resize((side, round(side * image.height / image.width)), Image.Resampling.BILINEAR)
        return self.blobs.put(Blob.image(image))

    def _keep_map(self, generator: np.random.Generator) -> str:
        grid = Image.fromarray(generator.random((14, 14), dtype=np.float32))
        return self.blobs.put(Blob.array(np.asarray(grid.resize((SIDE, SIDE), Image.Resampling.BILINEAR))))

    def report(self, new: int) -> Report:
        """A report with so many new images for each mistake."""
        cases = tuple(self._case(number, new) for number in range(self.mistakes))
        half = [case.id for case in cases[::2]]
        asked = new * len(cases)
        return Report(
            data=Data(labels=LABELS, counts={"guide": dict.fromkeys(LABELS, 10 * len(cases))}),
            mistakes=Mistakes(
                found=len(cases),
                guide_size=20 * len(cases),
                chosen=len(cases),
                by_pair=(PairCount(label="cat", predicted="dog", count=len(cases)),),
            ),
            cases=cases,
            slices=SlicesRow(slices=(_slice(half),), images=20 * len(cases), mistakes=len(cases)),
            causes=(self._cause(half),),
            images=Images(asked=asked, made=asked, kept=asked - asked // 5, rejected={"label": asked // 5}),
        )

    def _case(self, number: int, new: int) -> CaseRow:
        label, predicted = LABELS[number % 2], LABELS[1 - number % 2]
        return CaseRow(
            id=f"{number:016x}",
            label=label,
            predicted=predicted,
            probability=0.5 + (number % 500) / 1000,
            path=f"guide/{label}/{number:05}.jpg",
            image=_copy(self.names, number),
            heatmap=_copy(self.maps, number),
            method="grad-cam",
            class_specific=True,
            critique=CritiqueRow(
                cause=f"The backdrop is as green as in most training images of a {predicted}, and rare for a {label}.",
                prompt=f"a {label} with a brown coat on a meadow, morning light, seen from the side, photograph",
                evidence=("62 % of the heat lies outside the animal", f"hue nearer to {predicted} (z = 3.1)"),
                guidance={"backdrop_colour": "#5f8f4a", "size": 0.35, "place": "left"},
            ),
            images=tuple(self._image(number, index) for index in range(new)),
        )

    def _image(self, number: int, index: int) -> ImageRow:
        kept = bool(index)
        place = NEW * number + index
        return ImageRow(
            index=index,
            seed=place,
            blob=_copy(self.new, place),
            kept=kept,
            check="" if kept else "label",
            reason="" if kept else "looks like a dog to the judge (0.93)",
            prompt="a cat with a brown coat on a meadow, morning light",
        )

    def _cause(self, cases: list[str]) -> TestedCauseRow:
        edited = EditedImageRow(
            id=cases[0], before=self.names[0], after=self.names[1], elsewhere=self.names[2], right=(False, True, False)
        )
        return TestedCauseRow(
            cause=StatedCauseRow(kind="backdrop", colour="#5f8f4a"),
            label="cat",
            predicted="dog",
            outcome="confirmed",
            sentence="The backdrop is a cause.",
            cases=tuple(cases),
            mistakes=(edited,),
        )


def _copy(names: list[str], number: int) -> str:
    """A blob of its own, of the content of one of the blobs."""
    return f"{names[number % len(names)]}{COPY}{number}"


def _slice(cases: list[str]) -> SliceRow:
    counts = {"size": 4 * len(cases), "mistakes": len(cases), "accuracy": 0.75, "low": 0.7, "high": 0.8, "p": 1e-9}
    return SliceRow(name="cat: with a green backdrop", kind="backdrop", cases=tuple(cases), **counts)


def _images(data: Path | None) -> Iterator[Image.Image]:
    """Photographs, or drawings, without end."""
    if data is None:
        scenes = petworld.sample_scenes(DRAWN, seed=SEED, bias=petworld.UNBIASED)
        drawings = [petworld.draw(scene, DRAWN_SIDE) for scene in scenes]
        yield from itertools.cycle(drawings)
    splits = Splits.from_folder(data, on_near_duplicate="allow")
    samples = [sample for name in splits.distinct for sample in splits[name]]
    for sample in itertools.cycle(samples):
        yield sample.open()


def _measure(report: Report, blobs: Blobs, folder: Path) -> dict[str, float]:
    started, worked = time.perf_counter(), time.process_time()
    text = render(report, lambda name: blobs.read(name.partition(COPY)[0]))
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    seconds, work = time.perf_counter() - started, time.process_time() - worked
    return {
        "mistakes": len(report.cases),
        "new images": report.images.made,
        "write_s": seconds,
        "write_cpu_s": work,
        "megabytes": path.stat().st_size / MEGABYTE,
        **_measure_in_browser(path),
    }


_NEXT_FRAME = "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now() - began), 0)))"
_CHOOSE = f"""(value) => {{
  const select = document.querySelector('select[data-filter=slice]');
  const began = performance.now();
  select.value = value;
  select.dispatchEvent(new Event('change'));
  return {_NEXT_FRAME};
}}"""
# The search waits for a pause in typing, which is not counted.
_SEARCH = f"""(words) => new Promise((done) => {{
  const field = document.getElementById('search');
  const timer = window.setTimeout;
  window.setTimeout = (act) => {{
    window.setTimeout = timer;
    const began = performance.now();
    act();
    {_NEXT_FRAME}.then(done);
  }};
  field.value = words;
  field.dispatchEvent(new Event('input'));
}})"""


def _measure_in_browser(path: Path) -> dict[str, float]:
    """Empty where there is no browser."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if chromium is None:
        return {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(path.as_uri())
        page.wait_for_function("performance.getEntriesByType('paint').length > 0")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        worked = _work(devtools)
        choices = [page.evaluate(_CHOOSE, value) for value in _repeat("0", "none", "")]
        work = (_work(devtools) - worked) / EACH
        searches = [page.evaluate(_SEARCH, words) for words in _repeat("green", "dog 00 jpg", "")]
        browser.close()
    return {
        "first_paint_s": paint / 1000,
        "ready_s": ready / 1000,
        "filter_ms": statistics.median(choices),
        "filter_cpu_ms": 1000 * work,
        "filter_ms_most": max(choices),
        "search_ms": statistics.median(searches),
        "search_ms_most": max(searches),
    }


def _repeat(*values: str) -> Iterator[str]:
    return itertools.islice(itertools.cycle(values), EACH)


def _work(devtools: Any) -> float:
    """Seconds of the processor that the page's main thread took so far."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def _repeat(*values: str) -> Iterator[str]:
    return itertools.islice(itertools.cycle(values), EACH)


def _format(value: Any) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK} mistakes", small=f"{SMALL} mistakes, not {MISTAKES}")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="a folder of photographs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
