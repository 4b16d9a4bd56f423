"""From report.json and blobs to one HTML page: a pure function."""

from .schema_report import Report

__all__ = ["Report"]
