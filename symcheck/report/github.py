"""What GitHub shows of a run: annotations as workflow commands on stdout, and the summary of the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from symcheck.errors import ConfigError
from symcheck.report import wording
from symcheck.report.documents import Document, judged
from symcheck.report.gate_markdown import render_summary
from symcheck.report.outcome import GateReport, Outcome, Status, worst_first
from symcheck.report.places import place_of, relative_to

SHOWN = 9  # annotations of one step; GitHub drops what comes after its tenth of a kind
SUMMARY_LIMIT = 1024 * 1024  # bytes that GitHub takes from one step; above it the whole summary is lost
_LEVELS = {
    Status.UNMEASURED: "error",
    Status.FAILED: "error",
    Status.INCONCLUSIVE: "warning",
    Status.WAIVED: "notice",
}


def emit_github(document: Document, environ: Mapping[str, str], write: Callable[[str], object]) -> None:
    """Write the annotations, a line each, and append to the file that GITHUB_STEP_SUMMARY names, if it does."""
    record = judged(document)
    base = Path(environ.get("GITHUB_WORKSPACE") or Path.cwd())
    for line in commands(record, base):
        write(line)
    write(f"symcheck: {wording.summary(record)}")
    if name := environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(name), document)


def commands(report: GateReport, base: Path) -> Iterator[str]:
    """`::error title=…,file=…,line=…::text` for what did not pass, worst first; paths relative to `base`."""
    if not report.outcomes:
        yield _command("error", {"title": "nothing was judged"}, "symcheck found nothing to judge")
    found = [o for o in worst_first(report.outcomes) if o.status in _LEVELS]
    for outcome in found[:SHOWN]:
        yield _annotation(outcome, report, base)
    if rest := found[SHOWN:]:
        yield _command(_LEVELS[rest[0].status], {"title": "symcheck"}, f"and {len(rest)} more: {wording.tally(rest)}")


def _annotation(outcome: Outcome, report: GateReport, base: Path) -> str:
    place = place_of(outcome, report)
    properties = {"title": f"{outcome.gate}: {wording.fate(outcome)}"}
    if place is not None:
        properties |= {"file": relative_to(place.file, base), "line": str(max(place.line, 1))}
    return _command(_LEVELS[outcome.status], properties, wording.sentence(outcome))


def _command(level: str, properties: Mapping[str, str], text: str) -> str:
    given = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{level} {given}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    """Text that ends neither the line nor a property, nor hides anything."""
    words = "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c if c.isprintable() else " " for c in text)
    return words.encode(errors="backslashreplace").decode()


def _append(path: Path, document: Document) -> None:
    """Add the report to what other commands of the step have written, as long as GitHub takes it."""
    try:
        room = SUMMARY_LIMIT - (path.stat().st_size if path.exists() else 0) - 2
        text = render_summary(document)
        for words in (text, f"symcheck: {wording.summary(judged(document))} (no room for more)\n"):
            if len(words.encode()) <= room:
                with path.open("ab") as file:
                    file.write(f"\n{words}\n".encode())
                return
    except OSError as error:
        raise ConfigError(
            f"the summary of the step cannot be written: {error.strerror}",
            where=f"GITHUB_STEP_SUMMARY={path}",
            hint="unset the variable, or let it name a file in a folder that exists",
        ) from error
