"""What findings on degenerate inputs mean: there no floor excuses an error, and a stabiliser excuses a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from symcheck.errors import SymcheckError
from symcheck.frames.poser import CANONICAL, FRAME
from symcheck.report.model import Counts, Finding, Floor, Verdict

_EXCUSED = (Verdict.EXACT, Verdict.INVALID, Verdict.TRIVIAL, Verdict.INCONCLUSIVE)


def at_degeneracy(finding: Finding, name: str) -> Finding:
    """A finding on degenerate inputs: there rounding chooses the frame, so that no floor excuses an error."""
    part = ", ".join(filter(None, (finding.part, name)))
    finding = replace(finding, part=part)
    if finding.error is None or finding.verdict not in _EXCUSED or not finding.error.spread.mean > finding.tolerance:
        return finding
    verdict = Verdict.BROKEN if finding.error.spread.low > finding.tolerance else Verdict.INCONCLUSIVE
    return replace(
        finding,
        verdict=verdict,
        note="at this degeneracy no frame is the right one: rounding chooses among a continuum of them",
        advice="no canonicaliser is continuous there: average over the stabiliser, or train an equivariant network",
    )


def told(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings, with the word that a frame which errs only by the stabiliser does no harm to the form."""
    forms = {f.part: f.verdict for f in findings if f.output == CANONICAL}
    for finding in findings:
        harmless = finding.output == FRAME and forms.get(finding.part) is Verdict.EXACT
        if harmless and finding.verdict is Verdict.BROKEN:
            note = "the canonical form is exact: h(g·x) differs from g·h(x) by an element that leaves x alone"
            finding = replace(finding, note=note, advice="outputs that such an element moves break all the same")
        yield finding


def refused(claim: str, output: str, error: SymcheckError, tolerance: float) -> Finding:
    """The finding where a canonicaliser returned no elements at all."""
    return Finding(
        claim=claim, output=output, part="", verdict=Verdict.INVALID, share=None, error=None,
        floor=Floor(None, None, None, None), counts=Counts(0, 0, 0, False), worst=None, law="",
        tolerance=tolerance, note=error.message, advice=error.hint,
    )  # fmt: skip
