"""Pages in a browser: nothing is logged or requested, the verdicts are those of the data, and a phone can read them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, browser, find_browser
from pages import connection, curve, drawn, drawn_report, expected, gate_report
from reports import full, report

from symcheck.report.html import render_html
from symcheck.report.html.figures.canvas import PALETTE
from symcheck.report.model import Verdict

pytestmark = pytest.mark.skipif(find_browser() is None, reason="there is no Chromium or Chrome on the PATH")
PHONE, DESK = 360, 1200
LONG = "C4 x Shift(4): " + "image_of_the_left_camera=image, " * 6 + "z=scalar -> " + "very_long_output_name" * 8
MADE: dict[str, Any] = {
    "report": drawn_report,
    "gate": gate_report,
    "every-verdict": lambda _: full(),
    "connect": lambda _: connection(),
    "long-names": lambda _: report(drawn(claim=LONG, output=LONG, note=LONG, curve=curve("listed", 48)), notes=(LONG,)),
}
SHOWN = """[...document.querySelectorAll("details.row")].map(row => [row.dataset.kind, +row.dataset.index,
  row.querySelector("summary .word").innerText]).sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1])"""
DATA = "JSON.parse(document.getElementById('data').textContent)"
WIDE = """[...document.querySelectorAll("body *")].filter(one => !one.closest(".scroll, .command, svg")
  && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.tagName + "." + one.className)"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def problems(chromium: Browser, path: Path, width: int) -> list[str]:
    """What a page logs, what it asks for, verdicts that are not those of its data, and what hangs over the edge."""
    seen = chromium.open(path, width)
    chromium.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = [f"error: {error}" for error in seen.errors]
    found += [f"request: {url[:80]}" for url in seen.requests if not url.startswith(("data:", path.as_uri()))]
    data, shown = chromium.evaluate(DATA), chromium.evaluate(SHOWN)
    found += [] if shown == expected(data) else [f"verdicts: {shown} are not {expected(data)}"]
    headline = chromium.evaluate("(document.querySelector('.headline .word') || {}).innerText")
    stated = data.get("status", data.get("verdict"))
    found += [] if headline == stated else [f"verdict: {headline} is not {stated}"]
    across = chromium.evaluate("document.scrollingElement.scrollWidth")
    found += [f"overflow: {across} px"] if across > width else []
    return [*found, *(f"overflow: {one}" for one in chromium.evaluate(WIDE))]


@pytest.mark.parametrize("name", MADE)
def test_a_page_has_no_problem_at_any_width(chromium: Browser, name: str, tmp_path: Path) -> None:
    page = tmp_path / f"{name}.html"
    page.write_text(render_html(MADE[name](tmp_path)))
    kept = Path(os.environ.get("SYMCHECK_ARTIFACTS") or tmp_path)
    kept.mkdir(parents=True, exist_ok=True)
    for width in (PHONE, DESK):
        assert problems(chromium, page, width) == []
        chromium.screenshot(kept / f"{name}-{width}.png")
        assert (kept / f"{name}-{width}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("</main>", '<img src="https://example.org/x.png"></main>', "error: Loading the image"),
        ("</script>\n</body>", "throw new Error('planted')</script></body>", "error: Uncaught"),
        ("</script>\n</body>", "console.error('planted')</script></body>", "error: "),
        ('<span class="word">exact</span>', '<span class="word">broken</span>', "verdicts: "),
        ('"verdict":"trivial","subject"', '"verdict":"exact","subject"', "verdict: trivial is not exact"),
        ("</main>", '<p style="width: 900px">wide</p></main>', "overflow: 9"),
        ('<div class="rows">', '<div class="rows"><p style="width: 900px">cut off</p>', "overflow: P."),
    ],
)
def test_a_planted_problem_is_found(chromium: Browser, old: str, new: str, found: str, tmp_path: Path) -> None:
    html = render_html(drawn_report(tmp_path))
    assert old in html
    page = tmp_path / "planted.html"
    page.write_text(html.replace(old, new))
    assert any(one.startswith(found) for one in problems(chromium, page, PHONE))


def test_a_request_is_found_where_the_policy_allows_it(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "open.html"
    html = render_html(full()).replace("img-src data:", "img-src *")
    page.write_text(html.replace("</main>", '<img src="http://127.0.0.1:9/x.png"></main>'))
    assert any(one.startswith("request: http://127.0.0.1:9/") for one in problems(chromium, page, DESK))


def test_rows_are_chosen_by_verdict_and_by_words(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_html(full()))
    chromium.open(page)
    visible = "[...document.querySelectorAll('details.row:not([hidden])')].map(one => one.dataset.verdict).sort()"
    event = "dispatchEvent(new Event('input', {bubbles: true}))"
    assert chromium.evaluate(visible) == sorted(Verdict)
    chromium.evaluate(f"(() => {{const b = document.querySelector('[value=exact]'); b.checked = false; b.{event}}})()")
    assert chromium.evaluate(visible) == sorted({*Verdict} - {Verdict.EXACT})
    chromium.evaluate(f"(() => {{const s = document.querySelector('[type=search]'); s.value = 'FORCES'; s.{event}}})()")
    found = chromium.evaluate(visible)
    assert Verdict.BROKEN in found
    assert Verdict.INCONCLUSIVE not in found
    assert chromium.evaluate("document.querySelector('output').textContent") == f"{len(found)} of 6"


def test_a_page_works_without_scripts(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_html(drawn_report(tmp_path)))
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(page)
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)
    assert chromium.evaluate("document.querySelector('form').offsetHeight") == 0  # what would not work is not shown
    assert chromium.evaluate("document.querySelectorAll('details.row').length") == 6


def test_plots_follow_the_colour_scheme(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_html(drawn_report(tmp_path)))
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for dark in (False, True):
        chromium.open(page, dark=dark)
        seen.append((_light(chromium.evaluate(ink)), _light(chromium.evaluate(ground))))
    (text, paper), (dark_text, dark_paper) = seen
    assert text < 0.5 < paper
    assert dark_paper < 0.2 < 0.5 < dark_text


def test_paper_is_white_and_shows_what_is_folded(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_html(drawn_report(tmp_path)))
    chromium.open(page, dark=True)
    row = "document.querySelector('details.row:not([open])').offsetHeight"
    folded, card = chromium.evaluate(row), "getComputedStyle(document.querySelector('.rows')).backgroundColor"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    chromium.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert chromium.evaluate(row) > folded + 300
    assert _light(chromium.evaluate(card)) == 1
    assert chromium.evaluate("document.querySelector('form').offsetHeight") == 0


def test_every_colour_of_a_plot_has_a_variable_in_both_schemes() -> None:
    html = render_html(full())
    for name in PALETTE:
        assert html.count(f"--fig-{name}:") == 2, name


def _light(colour: str) -> float:
    """The lightness of rgb(r, g, b), 0 to 1."""
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / (3 * 255)


def test_a_link_from_a_gate_opens_what_it_judged(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_html(gate_report(tmp_path)))
    chromium.open(page)
    last = "[...document.querySelectorAll('details[data-kind=outcome] summary a')].at(-1)"
    row = f"document.getElementById({last}.hash.slice(1)).closest('details')"
    assert chromium.evaluate(f"{row}.open") is False
    arrived = "addEventListener('hashchange', () => setTimeout(done))"
    chromium.evaluate(f"new Promise(done => {{{arrived}; {last}.click()}})")
    assert chromium.evaluate(f"{row}.open") is True
    assert chromium.evaluate(f"{last}.closest('details').open") is False
