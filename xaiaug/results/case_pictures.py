"""The image and the heatmap of a mistake, from a run folder."""

from __future__ import annotations

from PIL import Image

from ..errors import RunFolderError
from ..files import parse_image
from ..records import Explanation, Failure
from ..report.schema_cases import CaseRow
from ..store import Reader
from ..store.schema import EXPLAIN
from ..store.stage_rows import ExplainRow, explanation_of

_NOT_YET = "the run has not explained the mistake {} yet: rerun its command, until = 'explain' or later"


def read_case_image(reader: Reader, case: CaseRow) -> Image.Image:
    """The copy of a mistake's image that the run kept.

    Args:
        reader: of the run.
        case: a mistake of it.

    Raises:
        RunFolderError: there is none, or it is damaged.
    """
    if case.image is None:
        raise RunFolderError(_NOT_YET.format(case.id))
    return parse_image(reader.blobs.read(case.image)).convert("RGB")


def read_explanation(reader: Reader, case: CaseRow) -> Explanation:
    """The heatmap of a mistake, for its predicted class.

    Args:
        reader: of the run.
        case: a mistake of it.

    Raises:
        RunFolderError: there is none; the message says why.
    """
    row: ExplainRow | None = next((row for row in reader.rows(EXPLAIN) if row["id"] == case.id), None)
    found = None if row is None else explanation_of(row["predicted"], reader.blobs)
    if isinstance(found, Failure):
        raise RunFolderError(f"the mistake {case.id} has no heatmap: {found.message}")
    if found is None:
        raise RunFolderError(_NOT_YET.format(case.id))
    return found
