"""Figures of a report: inline SVG for pages, one figure for papers."""

from __future__ import annotations

from symcheck.report.html.figures.paper import write_figure

__all__ = ["write_figure"]
