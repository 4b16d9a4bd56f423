"""The HTML of the review page, with its style, script and data."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

from .gallery import Gallery

# Inside a script element only these could end it, or start a comment.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class ReviewPage:
    """The page for a gallery; untrusted text travels as JSON only, and becomes text in the browser.

    Args:
        gallery: what is shown.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        folder = files(__package__) / "templates"
        self._frame, self._style, self._script = (
            (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")
        )

    @property
    def policy(self) -> str:
        """The content security policy: this page's style and script, and this server's pictures and replies."""
        style, script = (_digest(text) for text in (self._style, self._script))
        return (
            f"default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'sha256-{style}'; "
            f"script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def html(self) -> bytes:
        """The page as it is now."""
        run, items = self._gallery.run_dir.resolve().name, self._gallery.items()
        data = json.dumps({"run": run, "decides": self._gallery.decides, "items": items})
        safe = "".join(_ESCAPES.get(character, character) for character in data)
        page = self._frame.replace("{{style}}", self._style).replace("{{script}}", self._script)
        return page.replace("{{data}}", safe).encode()


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
