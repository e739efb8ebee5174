"""The record of gates as SARIF 2.1.0, for code scanning: one result for each outcome that did not pass.

A result points to the line of its gate, since a checkpoint has no lines and GitHub refuses a whole file in which one
result has no place. What passed is left out: code scanning would show it as an alert.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from symcheck.report import wording
from symcheck.report.model import Verdict
from symcheck.report.outcome import GateReport, Outcome, Place, Status, worst_first
from symcheck.report.places import place_of, relative_to
from symcheck.version import __version__

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
MOST = 5000  # results that GitHub shows of one run
_NOWHERE = Place("pyproject.toml", 1)  # a network in memory, judged from Python
_LEVELS = {
    Status.UNMEASURED: "error",
    Status.FAILED: "error",
    Status.INCONCLUSIVE: "warning",
    Status.WAIVED: "note",
}
_CONTROL = {c: f"\\u{c:04x}" for c in range(0x7F, 0xA0)}  # the others are escaped by JSON itself
_HELP: Mapping[str, str] = {
    Verdict.BROKEN: "The whole interval of the equivariance error lies above the tolerance: the claim does not hold. "
    "Recompute the worst pair with the replay command and look for the layer that breaks it.",
    Verdict.TRIVIAL: "The output is constant, or has no part on which the group acts: nothing was tested. "
    "Give inputs on which the output varies.",
    Verdict.INVALID: "The output is not finite, not deterministic, or the action is none of the group. "
    "Nothing follows from such a measurement; see the reason.",
    Verdict.INCONCLUSIVE: "The limit lies inside the interval: the data decide neither way. Measure more samples.",
    Status.FAILED: "The measured value lies above the limit of the gate, or above its baseline.",
    Status.UNMEASURED: "The gate could not be judged: see the reason. An unmeasured gate never passes.",
    Status.WAIVED: "The gate fails and a waiver accepts that until it expires.",
}


def render_sarif(report: GateReport, base: Path | None = None) -> str:
    """The record as SARIF; files relative to `base`, by default GITHUB_WORKSPACE or the working folder."""
    folder = base or Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    found = [o for o in worst_first(report.outcomes) if o.status is not Status.PASSED]
    shown = found[:MOST]
    rules = {_rule_id(outcome): _rule(outcome) for outcome in shown}
    order = list(rules)
    run = {
        "tool": {
            "driver": {
                "name": "symcheck",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": list(rules.values()),
            }
        },
        "automationDetails": {"id": f"symcheck/{quote(wording.heading(report), safe=' ._-', errors='replace')}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report, len(found) - len(shown))],
        "results": [_result(o, order.index(_rule_id(o)), report, folder) for o in shown],
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    return text.encode(errors="replace").decode().translate(_CONTROL) + "\n"


def _result(outcome: Outcome, rule: int, report: GateReport, base: Path) -> dict[str, Any]:
    place = place_of(outcome, report) or _NOWHERE
    uri = quote(relative_to(place.file, base), errors="surrogatepass")
    identity = wording.fingerprint(outcome)
    lines = [f"{label}: {words}" for label, words in wording.details(outcome)]
    result: dict[str, Any] = {
        "ruleId": _rule_id(outcome),
        "ruleIndex": rule,
        "level": _LEVELS[outcome.status],
        "message": {"text": "\n".join((f"{outcome.gate}: {wording.fate(outcome)}", *lines))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": f"file://{uri}" if uri.startswith("/") else uri},
                    "region": {"startLine": max(place.line, 1)},
                },
                "logicalLocations": [{"fullyQualifiedName": _logical(outcome)}],
            }
        ],
        # GitHub follows an alert by the first, other readers by the second
        "partialFingerprints": {"primaryLocationLineHash": identity, "symcheck/v1": identity},
    }
    if outcome.status is Status.WAIVED:
        result["suppressions"] = [{"kind": "external", "justification": outcome.waiver or "waived"}]
    return result


def _rule_id(outcome: Outcome) -> str:
    """The check and what became of it: `claim/broken`, `barrier/failed`, `claim/waived`."""
    return f"{outcome.check}/{wording.fate(outcome)}"


def _rule(outcome: Outcome) -> dict[str, Any]:
    fate = wording.fate(outcome)
    words = f"{outcome.check}: {fate}"
    return {
        "id": _rule_id(outcome),
        "name": "".join(part.capitalize() for part in f"{outcome.check}-{fate}".split("-")),
        "shortDescription": {"text": words},
        "fullDescription": {"text": _HELP[fate]},
        "help": {"text": _HELP[fate], "markdown": f"**{words}**\n\n{_HELP[fate]}"},
        "defaultConfiguration": {"level": _LEVELS[outcome.status]},
        "properties": {"tags": ["symmetry"], "precision": "high"},
    }


def _logical(outcome: Outcome) -> str:
    pieces = (outcome.subject, outcome.claim, outcome.output, outcome.part)
    return " / ".join(filter(None, pieces)) or outcome.gate or outcome.check


def _invocation(report: GateReport, left_out: int) -> dict[str, Any]:
    """Whether everything could be judged, and what the reader should know besides the results."""
    notes = [*report.notes, *([f"and {left_out} more results"] if left_out else [])]
    if not report.outcomes:
        notes.append("nothing was judged")
    return {
        "executionSuccessful": report.status is not Status.UNMEASURED,
        "exitCode": report.exit_code,
        "toolExecutionNotifications": [{"level": "note", "message": {"text": note}} for note in notes if note],
    }
