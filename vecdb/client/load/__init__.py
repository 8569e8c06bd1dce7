"""Loads points from files, tables and iterables, and writes them to files; in bounded memory, resumable."""

from __future__ import annotations

from vecdb.client.guess import GUESS
from vecdb.client.load.checking import BadRow
from vecdb.client.load.drive import load, load_async, plan
from vecdb.client.load.exporting import export, export_async
from vecdb.client.load.mapping import ColumnMap
from vecdb.client.load.opening import FORMATS, open_source
from vecdb.client.load.progress import reporter
from vecdb.client.load.report import ExportReport, LoadPlan, LoadReport
from vecdb.client.load.source import Source

__all__ = [
    "FORMATS",
    "GUESS",
    "BadRow",
    "ColumnMap",
    "ExportReport",
    "LoadPlan",
    "LoadReport",
    "Source",
    "export",
    "export_async",
    "load",
    "load_async",
    "open_source",
    "plan",
    "reporter",
]
