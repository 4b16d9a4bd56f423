"""Draws a sheet: mistakes of one slice with their heatmaps, and correct images of the class below them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from ..records import Case, Sheet
from .colormap import Heat, Scale
from .compose import LAYOUTS
from .layout import PALE, Sizes, stack
from .legend import draw_legend
from .overlays import Renderer, draw_image, fit_image
from .reference_rows import draw_line, draw_row, write_line

WIDTH = 2  # times the side of a panel
MOST_EXAMPLES = 6
MOST_CONTRAST = 6
_COLUMNS = {1: 3, 2: 2}  # by the pictures of an example
_WRONG = (190, 30, 20)


def draw_sheet(
    sheet: Sheet, label: str, *, layout: str = "side-by-side", side: int = 512, scale: Scale | None = None
) -> Image.Image:
    """A sheet: what the slice is, its examples as the layout shows them, a legend, and the contrast.

    Args:
        sheet: at most six of its examples, and as many images of its contrast, are shown.
        label: name of the true class.
        layout: a name from `LAYOUTS`.
        side: of a panel; a sheet is twice as wide, in pixels.
        scale: raw values of the coldest and the hottest colour; None takes them from each map.

    Returns:
        The sheet, RGB. Without any heatmap it shows the images alone.
    """
    sizes, width = Sizes(side), WIDTH * side
    shown = sheet.examples[:MOST_EXAMPLES]
    mapped = [case for case in shown if case.explanation is not None]
    renderers = list(LAYOUTS[layout if mapped else "image-only"].values())
    parts = [_write_header(sizes, width, sheet, label), _arrange_examples(sizes, width, shown, renderers, scale)]
    if mapped and renderers != [draw_image]:
        parts.append(_write_legend(sizes, width, mapped[0], renderers[-1], scale))
    if sheet.contrast:
        parts += _arrange_contrast(sizes, width, sheet.contrast[:MOST_CONTRAST], label)
    return stack(parts)


def _write_header(sizes: Sizes, width: int, sheet: Sheet, label: str) -> Image.Image:
    one = sheet.slice
    counts = f"{sheet.mistakes} mistakes; of the {one.size} held-out images in it {one.mistakes} are misclassified"
    lines = [write_line(sizes, width, f"slice: {one.name}"), write_line(sizes, width, f"label: {label} · {counts}")]
    return stack(lines)


def _arrange_examples(
    sizes: Sizes, width: int, shown: Sequence[Case], renderers: Sequence[Renderer], scale: Scale | None
) -> Image.Image:
    columns = min(_COLUMNS[len(renderers)], len(shown))
    cell = width // _COLUMNS[len(renderers)]
    blocks = [_draw_example(sizes, cell, number, case, renderers, scale) for number, case in enumerate(shown, 1)]
    return stack([_row(width, blocks[start : start + columns]) for start in range(0, len(blocks), columns)])


def _draw_example(
    sizes: Sizes, width: int, number: int, case: Case, renderers: Sequence[Renderer], scale: Scale | None
) -> Image.Image:
    """The pictures of one example beside each other, with its number and its prediction below."""
    inner = (width - sizes.gap * (len(renderers) + 1)) // len(renderers)
    fitted, note = fit_image(case.image, inner, inner)
    heat = Heat.of(case.explanation, fitted.size, scale) if case.explanation is not None else None
    block = Image.new("RGB", (width, inner + sizes.line + sizes.gap), "white")
    for place, draw in enumerate(renderers):
        left = sizes.gap + place * (inner + sizes.gap) + (inner - fitted.width) // 2
        block.paste(draw(fitted, heat), (left, (inner - fitted.height) // 2))
    caption = write_line(sizes, width, f"{number}: predicted {case.predicted}" + (f", {note}" if note else ""), _WRONG)
    block.paste(caption, (0, inner))
    return block


def _write_legend(sizes: Sizes, width: int, case: Case, renderer: Renderer, scale: Scale | None) -> Image.Image:
    assert case.explanation is not None  # noqa: S101  the caller chose it
    if scale is None:
        return write_line(sizes, width, f"{case.explanation.method}, each heatmap on its own scale", PALE)
    heat = Heat.of(case.explanation, case.image.size, scale)
    return _row(width, [stack(draw_legend(sizes, f"{case.explanation.method}, shared scale", heat, renderer))])


def _arrange_contrast(sizes: Sizes, width: int, images: Sequence[Image.Image], label: str) -> list[Image.Image]:
    caption = write_line(sizes, width, f"not in the slice, and correctly classified as {label}:")
    return [draw_line(sizes, width), caption, draw_row(sizes, width, images, MOST_CONTRAST)]


def _row(width: int, blocks: Sequence[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (width, max(block.height for block in blocks)), "white")
    left = 0
    for block in blocks:
        row.paste(block, (left, 0))
        left += block.width
    return row
