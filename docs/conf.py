"""Builds the site (`make docs`); reference pages are written from docstrings, settings and plugins before."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import reference_pages  # noqa: E402

import xaiaug  # noqa: E402

project, author, copyright = "xaiaug", "The xaiaug developers", "The xaiaug developers"  # noqa: A001  Sphinx's name
release = version = xaiaug.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "xaiaug"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"sidebar_hide_name": False}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "code"  # `name` in a docstring is code
nitpicky = False
autodoc_typehints = "description"  # in signatures they fill the screen
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"JSON": "JSON"}
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_use_ivar = True
suppress_warnings = ["misc.highlighting_failure"]  # settings that show `…`


def shorten_types(*given: Any) -> None:
    """Names the types of attributes without their modules, as signatures do."""
    lines: list[str] = given[-1]
    for number, line in enumerate(lines):
        if line.startswith(":vartype "):
            head, _, hint = line.removeprefix(":").partition(": ")
            short = re.sub(r"(?:\w+\.)+(\w+)", r"\1", hint)
            short = re.sub(r"ndarray\[.*?dtype\[(\w+)\]\]", r"array of \1", short)
            lines[number] = f":{head}: {'plain JSON' if 'JSON' in short else short}"


def setup(app: Any) -> None:
    """Writes the reference pages before Sphinx looks for sources."""
    app.connect("builder-inited", lambda app: reference_pages.write(Path(app.srcdir) / "reference"))
    app.connect("autodoc-process-docstring", shorten_types, priority=900)  # after napoleon has read the sections
