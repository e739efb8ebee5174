"""An SVG file of matplotlib made fit to stand inside a page: small, without ids of its own, in the page's colours."""

from __future__ import annotations

import re
from html import escape

from symcheck.report.html.figures.canvas import PALETTE

_TAG = re.compile(r"<[^>]*>")
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_FONT = re.compile(r"font: (?:(\d{3}|bold) )?([\d.]+px) [^;\"]+")
_DATA = re.compile(r"data:[^\"]*")


def inlined(svg: str, name: str, title: str, words: str) -> str:
    """The `<svg>` element alone, described by `title` and `words`; every id in it starts with `name`."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", svg, flags=re.DOTALL)
    kept = {*re.findall(r"url\(#([^)]+)\)", svg), *re.findall(r'href="#([^"]+)"', svg)}
    svg = _TAG.sub(lambda tag: _shrunk(tag.group(), kept, name), svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    box = re.search(r'viewBox="([^"]*)"', svg)
    width, height = (box.group(1).split() if box else ["0", "0", "320", "230"])[2:]
    head = (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(words)}</desc>'
    )
    return head + svg[svg.index(">") + 1 :]


def _shrunk(tag: str, kept: set[str], name: str) -> str:
    """One tag: ids that nothing refers to go, the others get the prefix; two decimals; the font of the page."""

    def of_id(match: re.Match[str]) -> str:
        return f' id="{name}-{match.group(1)}"' if match.group(1) in kept else ""

    data = _DATA.search(tag)
    if data:  # an image: its bytes stay as they are
        return _shrunk(tag.replace(data.group(), "@"), kept, name).replace("@", data.group())
    tag = re.sub(r' id="([^"]*)"', of_id, tag)
    tag = tag.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-').replace("xlink:href", "href")
    tag = _FONT.sub(lambda m: f"font-size:{m.group(2)}" + (f";font-weight:{m.group(1)}" if m.group(1) else ""), tag)
    tag = re.sub(r'(?<=[;"]) ?([\w-]+): (?=[^;"]*[;"])', r"\1:", tag)
    for key, value in PALETTE.items():
        tag = tag.replace(value, f"var(--fig-{key},{value})")
    return _NUMBER.sub(lambda m: f"{float(m.group()):.2f}".rstrip("0").rstrip(".") or "0", tag)
