"""What findings on degenerate inputs mean: there no floor excuses an error, and a stabiliser excuses a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from symcheck.errors import SymcheckError
from symcheck.frames.poser import CANONICAL, FRAME
from symcheck.report.model import Counts, Finding, Floor, Verdict

_EXCUSED = (Verdict.EXACT, Verdict.INVALID, Verdict.TRIVIAL, Verdict.INCONCLUSIVE)
_CHOSEN = "rounding chooses the frame there"
_LARGE = f"the floor excuses nothing: {_CHOSEN}, so that it is as large as the error itself"


def at_degeneracy(finding: Finding, name: str, castable: bool) -> Finding:
    """A finding on degenerate inputs: there rounding chooses the frame, so that no floor excuses an error.

    Where the subject is `castable`, it is that choice, and not the subject, which keeps a higher precision from telling
    more.
    """
    part = ", ".join(filter(None, (finding.part, name)))
    finding = replace(finding, part=part)
    if castable and finding.verdict is Verdict.EXACT and finding.floor.high is None:
        finding = replace(finding, note=f"to working precision: {_CHOSEN}, in float64 too, which shows no more")
    if finding.error is None or finding.verdict not in _EXCUSED or not finding.error.spread.mean > finding.tolerance:
        return finding
    verdict = Verdict.BROKEN if finding.error.spread.low > finding.tolerance else Verdict.INCONCLUSIVE
    return replace(
        finding,
        verdict=verdict,
        note=f"at this degeneracy no frame is the right one; {_LARGE}",
        advice="no canonicaliser is continuous there: average over the stabiliser, or train an equivariant network",
    )


def told(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings, with the word that a frame which errs only by the stabiliser does no harm to the form."""
    forms = {f.part: f.verdict for f in findings if f.output == CANONICAL}
    for finding in findings:
        harmless = finding.output == FRAME and forms.get(finding.part) is Verdict.EXACT
        if harmless and finding.verdict is Verdict.BROKEN:
            note = "the canonical form is exact: h(g·x) differs from g·h(x) by an element that leaves x alone"
            note += f"; {_LARGE}" if _below_its_floor(finding) else ""
            finding = replace(finding, note=note, advice="outputs that such an element moves break all the same")
        yield finding


def _below_its_floor(finding: Finding) -> bool:
    return finding.error is not None and finding.error.spread.mean <= (finding.floor.rounding or 0.0)


def refused(claim: str, output: str, error: SymcheckError, tolerance: float) -> Finding:
    """The finding where a canonicaliser returned no elements at all."""
    return Finding(
        claim=claim, output=output, part="", verdict=Verdict.INVALID, share=None, error=None,
        floor=Floor(None, None, None, None), counts=Counts(0, 0, 0, False), worst=None, law="",
        tolerance=tolerance, note=error.message, advice=error.hint,
    )  # fmt: skip
