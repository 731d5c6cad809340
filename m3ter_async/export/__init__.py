"""Every record of a listing into files, in parallel, resumable, each exactly once."""

from __future__ import annotations

from .report import ExportedFile, ExportProgress, ExportReport, ResourceProgress

__all__ = ["ExportProgress", "ExportReport", "ExportedFile", "ResourceProgress"]
