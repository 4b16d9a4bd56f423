"""Makes the pictures of the documentation from a finished run: the top of its report, and one mistake.

    python docs/make_pictures.py runs/demo

Needs Debian's chromium, which the browser tests use too, and writes docs/report.png and docs/mistake.png.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1100, 900
COLOURS = 128  # of the palette: a third of the bytes, and no difference to the eye


def main() -> None:
    """Takes both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run")
    page_file = (parser.parse_args().run / "report.html").resolve(strict=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(page_file.as_uri())
        _save(page.screenshot(), "report.png")
        _save(_find_mistake(page), "mistake.png")
        browser.close()


def _find_mistake(page: Page) -> bytes:
    """The first mistake of the gallery, opened."""
    card = page.locator("[id^=mistake-]").first
    card.scroll_into_view_if_needed()
    return card.screenshot()


def _save(picture: bytes, name: str) -> None:
    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS)
    image.save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
