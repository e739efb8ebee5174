"""The further parts of a location for the terminal: certificates of layers, Lie derivatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from symcheck.intertwiners.result import Certificate, Certified, LayerRow
from symcheck.locate.certificates import UNDECLARED
from symcheck.locate.lie_result import LieLayers, LieTerm
from symcheck.locate.result import Infinitesimal
from symcheck.report import numbers
from symcheck.report.page import INDENT, Page

_ROWS = 12
_CANCELS, _LARGE = 1.1, 2.0  # the sum of |shares|, and the size of one term, from which terms cancel
_STILL = "trivial: the group does not act there, so that any weights will do"


def cancelling(shares: Sequence[float], largest: float = 0.0) -> str:
    """What is to be said of terms of which some cancel others; empty where they hardly do.

    `largest` is the largest term relative to the whole error.
    """
    total = sum(map(abs, shares))
    if not (total > _CANCELS or largest > _LARGE):
        return ""
    seen = f"|shares| sum to {100 * total:.0f} %" if total > _CANCELS else f"one is {largest:.0f} times the error"
    return f"terms cancel: {seen}; what one operation adds others take back, so that a term can exceed the whole error"


def show_certificates(page: Page, found: Certificate, details: bool) -> None:
    """One row for each layer: its representations, its distance to equivariant maps, dimensions, the verdict."""
    page.line()
    page.line("Layers by their weights alone, without data", "bold")
    known = [row for row in found.rows if row.verdict is not Certified.UNKNOWN]
    order = {Certified.BROKEN: 0, Certified.APPROXIMATE: 1, Certified.EXACT: 2, Certified.TRIVIAL: 3}
    rows = list(found.rows) if details else sorted(known, key=lambda row: order[row.verdict])[:_ROWS]
    if rows:
        head = ("layer", "representations", "s_G", "used", "verdict")
        page.table(head, [_row(row) for row in rows])
        for row in rows:
            if row.verdict is Certified.BROKEN and row.reason:
                page.line(f"{row.layer}: {row.reason}", "dim", INDENT)
        cut = Counter(str(row.verdict) for row in known if row not in rows)
        if cut:
            words = ", ".join(f"{count} more {verdict}" for verdict, count in cut.items())
            page.line(f"and {words} (all of them: --details)", "dim", INDENT)
        if any(row.verdict is Certified.TRIVIAL for row in rows):
            page.line(_STILL, "dim", INDENT)
    reasons = Counter(row.reason for row in found.rows if row.verdict is Certified.UNKNOWN)
    for reason, count in reasons.items():
        why = "nobody knows how the group acts on their features" if reason == UNDECLARED else reason
        page.line(f"{count} of {len(found.rows)} rows are not certified: {why}", "dim", INDENT)


def _row(row: LayerRow) -> list[str]:
    used = "" if row.allowed is None else f"{'?' if row.used is None else row.used} of {row.allowed}"
    types = row.source if row.source == row.target else f"{row.source} → {row.target}"
    return [f"{row.layer} ({row.kind})", types, numbers.number(row.level), used, str(row.verdict)]


def show_lie(page: Page, found: Infinitesimal) -> None:
    """One row for each generator and output; then what each operation adds."""
    page.line()
    page.line("Lie derivative: the error of infinitesimal elements, per radian or unit", "bold")
    rows = [
        [flow.name, one.output, f"{numbers.number(flow.error)} ± {numbers.number(flow.deviation, 1)}",
         flow.scale, flow.method]
        for one in found.whole for flow in one.flows
    ]  # fmt: skip
    page.table(("generator", "output", "error", "relative to", "derivative"), rows)
    if found.layers is not None:
        _terms(page, found.layers)


def _term(term: LieTerm) -> str:
    """An operation, or what is left at the outputs; what stands in no part is of the network itself."""
    if not term.function:
        return "outputs: rest"
    many = f" … {term.group[-1].rpartition(': ')[2]}" if len(term.group) > 1 else ""
    return f"{term.path or 'the network'}: {term.function}{many}"


def _terms(page: Page, found: LieLayers) -> None:
    if not found.terms:
        page.line("layer by layer, nothing but rounding", "dim", INDENT)
        return
    for output in found.error:
        rows = [
            [_term(term), term.line, term.action or ("" if term.group else "?"),
             numbers.number(term.size[output]), f"{100 * term.share[output]:.1f} %"]
            for term in found.ranked(output)[:_ROWS]
        ]  # fmt: skip
        page.table((f"operation, {output}", "at", "hidden action", "RMS", "share"), rows)
        largest = max(term.size[output] for term in found.terms) / (found.error[output] or 1.0)
        if words := cancelling([term.share[output] for term in found.terms], largest):
            page.line(words, "dim", INDENT)
    closure = max(found.closure.values())
    page.line(
        f"closes to {numbers.number(closure, 1)} · {numbers.count(found.samples, 'sample')} · "
        f"{numbers.count(found.runs, 'forward-mode run')}", "dim", INDENT,
    )  # fmt: skip
