"""The report: what report.json holds, and the HTML page made from it and the blobs."""

from .schema_report import Report

__all__ = ["Report"]
