"""One self-contained page from a document: a report, the record of a gate, or what another command wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from symcheck.errors import LoadError
from symcheck.report import numbers, wording
from symcheck.report.documents import Document
from symcheck.report.html.cards import Findings, Row, findings_of, outcomes_of
from symcheck.report.html.documents import (
    document_sections,
    document_summary,
    document_title,
    document_words,
    facts,
    findings_in,
)
from symcheck.report.html.links import Links, report_name
from symcheck.report.html.plain import clean
from symcheck.report.html.reproduce import audit_command
from symcheck.report.html.view import Easel, Facts, Section, Words
from symcheck.report.model import Report, Verdict, finite
from symcheck.report.outcome import GateReport, Status
from symcheck.report.page import symbol_of

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """One report on a page, which may hold several."""

    title: str
    facts: Sequence[str]
    findings: Findings
    sections: Sequence[Section]
    proposed: bool = False
    number: int = 0  # its place among the reports of the document


@dataclass(frozen=True)
class Page:
    """What the template shows."""

    title: str
    verdict: str
    summary: str
    facts: Sequence[str]
    data: str
    outcomes: Sequence[Row] = ()
    parts: Sequence[Part] = ()
    sections: Sequence[Section] = ()

    @property
    def marks(self) -> Mapping[str, str]:
        """The symbol of every verdict and status, so that colour never carries it alone."""
        return {str(word): symbol_of(word) for word in (*Verdict, *Status)}

    @cached_property
    def names(self) -> set[str]:
        """The ids of all rows: a row that is left out can have no link to it."""
        rows = (row for part in self.parts for group in part.findings.groups for row in group.rows)
        return {row.name for row in (*self.outcomes, *rows)}

    @property
    def verdicts(self) -> list[str]:
        """The words that rows can be chosen by."""
        found = {row.verdict for row in self.outcomes}
        found |= {row.verdict for part in self.parts for group in part.findings.groups for row in group.rows}
        return [word for word in self.marks if word in found]


def render_html(document: Document, beside: Path | None = None) -> str:
    """The document as one HTML page that loads nothing; worst pairs are looked for where they were and `beside`.

    Raises LoadError when a document of another command does not hold what its schema says.
    """
    easel = Easel()
    try:
        page = _page(document, easel, beside)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, StopIteration) as error:
        raise LoadError(
            f"the document cannot be shown: {type(error).__name__}: {error}",
            where="report",
            hint="write it again with the command that made it",
        ) from error
    return _rendered(page)


def _page(document: Document, easel: Easel, beside: Path | None) -> Page:
    if isinstance(document, Report):
        return _of_report(document, easel, beside)
    if isinstance(document, GateReport):
        return _of_gate(document, easel, beside)
    return _of_plain(document, easel, beside)


def _of_plain(document: Mapping[str, Any], easel: Easel, beside: Path | None) -> Page:
    """What another command wrote: the findings in it, folded, then its own parts."""
    report, sections = findings_in(document), document_sections(document, easel)
    parts, verdict = [], ""
    if report is not None and report.findings:
        found = findings_of(report, easel, beside, "f")
        groups = [replace(group, rows=[replace(row, open=False) for row in group.rows]) for group in found.groups]
        parts, verdict = [Part("", (), replace(found, groups=groups), ())], str(report.worst)
    return Page(
        title=document_title(document),
        verdict=verdict,
        summary=numbers.tally(report.findings) if report is not None else document_words(document),
        facts=document_summary(document),
        data=_data(finite(dict(document), [0])),
        parts=parts,
        sections=sections,
    )


def _of_report(report: Report, easel: Easel, beside: Path | None) -> Page:
    effort = f"{numbers.count(report.forwards, 'forward')} in {numbers.duration(report.seconds)}"
    return Page(
        title=_name(report),
        verdict="" if report.proposed else str(report.worst),
        summary=numbers.tally(report.findings),
        facts=[*numbers.facts(report), effort],
        data=_data(report.to_dict()),
        parts=[_part(report, easel, beside, "f")],
    )


def _of_gate(gate: GateReport, easel: Easel, beside: Path | None) -> Page:
    links = Links.of_gate(gate)
    parts = [
        replace(_part(report, easel, beside, report_name(i), links), title=title, number=i)
        for i, (report, title) in enumerate(zip(gate.reports, _titles(gate.reports), strict=True))
    ]
    about = Section("Environment", [Facts(facts(gate.environment))], folded=True)
    notes = [Section("Notes", [Words(note) for note in gate.notes])] if gate.notes else []
    return Page(
        title=wording.heading(gate),
        verdict=str(gate.status),
        summary=wording.tally(gate.outcomes),
        facts=[f"exit code {gate.exit_code}", numbers.duration(gate.seconds)],
        data=_data(gate.to_dict()),
        outcomes=outcomes_of(gate, links),
        parts=sorted(parts, key=_failing_first),
        sections=[*notes, *([about] if gate.environment else [])],
    )


def _failing_first(part: Part) -> int:
    """Reports with a finding that failed a gate stand before the others."""
    order = [str(status) for status in Status]
    tones = [row.tone for group in part.findings.groups for row in group.rows if row.tone]
    return min(map(order.index, tones), default=len(order))


def _titles(reports: Sequence[Report]) -> list[str]:
    """The names of the subjects; with their claims where several reports are about one subject."""
    names = [_name(report) for report in reports]
    claims = ["; ".join(dict.fromkeys(finding.claim for finding in report.findings)) for report in reports]
    pairs = zip(names, claims, strict=True)
    return [f"{name}: {claim}" if names.count(name) > 1 and claim else name for name, claim in pairs]


def _part(report: Report, easel: Easel, beside: Path | None, name: str, links: Links | None = None) -> Part:
    sections = [Section("Notes", [Words(note) for note in report.notes])] if report.notes else []
    if told := report.settings.get("weights"):
        sections.append(Section("Weight symmetries", [Facts(facts(told))]))
    sections.append(Section("Reproduce", [Words(audit_command(report), "command")]))
    settings = {k: v for k, v in report.settings.items() if k not in ("weights", "certificate")}
    blocks = [("subject", report.subject), ("settings", settings), ("environment", report.environment)]
    about = [Facts(facts(data), title) for title, data in blocks if data]
    sections.append(Section("Settings and environment", about, folded=True))
    found = findings_of(report, easel, beside, name, links)
    return Part(_name(report), numbers.facts(report), found, sections, report.proposed)


def _name(report: Report) -> str:
    return str(report.subject.get("name") or "unnamed subject")


def _data(plain: Any) -> str:
    """JSON that can stand in a script element: ASCII, and nothing in it closes the element."""
    text = json.dumps(plain, allow_nan=False, default=str, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rendered(page: Page) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: clean(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((HERE / name).read_text(encoding="utf-8").strip() for name in ("style.css", "filter.js"))
    return environment.get_template("page.html.j2").render(page=page, style=style, script=script).rstrip() + "\n"
