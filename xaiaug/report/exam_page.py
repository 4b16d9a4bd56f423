"""The page of an exam: one self-contained HTML file, without scripts or external resources."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from .page import create_environment
from .schema_exam import Exam


def render_exam(exam: Exam, read: Callable[[str], bytes]) -> str:
    """The page of an exam.

    Args:
        exam: any exam.
        read: the bytes of a picture by its name below the exam's folder; if it raises OSError or LookupError, the page
            leaves the picture out.
    """
    environment = create_environment()
    style = environment.get_template("page.css").render()
    return environment.get_template("exam.html.j2").render(
        exam=exam,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        shown=[(case, _embed(case.picture, read)) for case in exam.cases if case.maps == "true"],
    )


def _embed(name: str | None, read: Callable[[str], bytes]) -> str | None:
    if name is None:
        return None
    try:
        data = read(name)
    except (OSError, LookupError):
        return None
    kind = "jpeg" if name.endswith((".jpg", ".jpeg")) else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
