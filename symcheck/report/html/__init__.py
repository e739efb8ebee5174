"""Reports as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from symcheck.report.html.page import render_html

__all__ = ["render_html"]
