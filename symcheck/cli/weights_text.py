"""The weight symmetries of a checkpoint for the terminal: a table of spaces, what is covered, what was proved."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from symcheck.cli.weights_run import Found
from symcheck.report.model import Finding, Report, Verdict
from symcheck.report.numbers import count, duration, number
from symcheck.report.page import GAP, INDENT, Page, style_of
from symcheck.weights.folding import Row, abbreviated, copies, rows
from symcheck.weights.nullity import Completeness
from symcheck.weights.session import FAILED
from symcheck.weights.spec import Spec

_NAME, _LABEL = 28, 13  # the widest name of a space; the labels of the lines below the table
_HEAD = ("space", "group", "where it acts", "proof")


def show(found: Found, console: Console, *, every: bool = False) -> None:
    """Print what was found; `every` gives each space a row of its own, and all its tensors."""
    page = Page(console)
    page.line(found.name, "bold")
    page.line(" · ".join(_facts(found)), "dim", INDENT)
    page.line()
    table = rows(found.spec, folded=not every)
    exact = [row for row in table if not row.spaces[0].approximate]
    nearly = [row for row in table if row.spaces[0].approximate]
    _table(page, found, exact, every)
    if nearly:
        page.line("Exact only where the eps of the normalisers is 0", "bold")
        _table(page, found, nearly, every)
    last = ""
    for label, words, style in _lines(found):
        page.labelled(Text(label if label != last else "", "dim"), page.text(words, style), _LABEL)
        last = label
    _failures(page, found)
    page.line()
    for label, command in _next(found):
        page.whole(Text.assemble((label, "bold"), page.text(command)))


def _facts(found: Found) -> Iterator[str]:
    """What was looked at."""
    subject: Mapping[str, Any] = found.report.subject if found.report else {}
    if "parameters" in subject:
        yield count(subject["parameters"], "parameter")
    yield f"{len(found.spec.axes)} tensors"
    if subject.get("format"):
        yield str(subject["format"])
    yield f"spec {found.given}" if found.given else "spec derived from the graph"


def _table(page: Page, found: Found, table: Sequence[Row], every: bool) -> None:
    """One row for spaces that are alike: name, group, where it acts, and how its proof went."""
    if not table:
        return
    findings = {finding.output: finding for finding in found.report.findings} if found.report else {}
    marks = [_proof(page, [findings[s.name] for s in row.spaces if s.name in findings]) for row in table]
    cells = [(row.name if every else _named(row), _group(found.spec, row)) for row in table]
    sizes = [min(max(len(words[i]) for words in (*cells, _HEAD)), _NAME) for i in (0, 1)]
    last = max(len(_HEAD[3]), *(mark.cell_len for mark in marks))
    room = max(page.width - INDENT - sum(sizes) - last - 3 * GAP, 12)
    places = [", ".join(row.where) if every else _fitted(row.where, room) for row in table]
    sizes += [min(max(map(len, (*places, _HEAD[2]))), room), last]
    page.row(list(zip((page.text(word, "dim") for word in _HEAD), sizes, strict=True)), INDENT)
    for words, place, mark in zip(cells, places, marks, strict=True):
        page.row(list(zip((*map(page.text, words), page.text(place, "dim"), mark), sizes, strict=True)), INDENT)
    page.line()


def _named(row: Row) -> str:
    """The name of a row, and how many spaces it stands for."""
    many = f" ×{len(row.spaces)}" if len(row.spaces) > 1 else ""
    return _shortened(row.name, _NAME - len(many)) + many


def _group(spec: Spec, row: Row) -> str:
    """`general 16 × 2` for two copies; a range where they differ."""
    ranges = ([space.size for space in row.spaces], [copies(spec, space) for space in row.spaces])
    size, many = (str(min(r)) if min(r) == max(r) else f"{min(r)}-{max(r)}" for r in ranges)
    return f"{row.spaces[0].kind} {size}" + (f" × {many}" if many != "1" else "")


def _fitted(where: Sequence[str], room: int) -> str:
    """As many of the places as have room, and how many more there are."""
    for shown in range(len(where), 0, -1):
        more = f" +{len(where) - shown}" if shown < len(where) else ""
        words = ", ".join(where[:shown]) + more
        if len(words) <= room:
            return words
    more = f" +{len(where) - 1}" if len(where) > 1 else ""
    return _shortened(where[0], room - len(more)) + more if where else ""


def _shortened(name: str, room: int) -> str:
    """A long name without its middle."""
    head = room // 3
    return name if len(name) <= room else f"{name[:head]}…{name[head + 1 - room :]}"


def _proof(page: Page, findings: Sequence[Finding]) -> Text:
    """The worst verdict of a row with its error."""
    if not findings:
        return page.text("not proved", "dim")
    order = list(Verdict)
    worst = min(findings, key=lambda f: (order.index(f.verdict), -_error(f)))
    if worst.verdict is Verdict.TRIVIAL:
        return Text.assemble(page.mark(worst.verdict, word=False), " no power")
    words = number(_error(worst)) if worst.error is not None else "nan"
    return Text.assemble(page.mark(worst.verdict, word=False), " ", page.text(words))


def _error(finding: Finding) -> float:
    return math.nan if finding.error is None else finding.error.spread.max


def _lines(found: Found) -> Iterator[tuple[str, str, str]]:
    """Labelled lines below the table: label, words, style."""
    spec, covered = found.spec, found.spec.coverage
    share = 100 * covered.share if covered.acted == covered.parameters else min(100 * covered.share, 99.9)
    yield "coverage", f"{share:.1f} % of {covered.parameters:,} parameters and buffers are acted on", ""
    parts = [f"10^{covered.log10_permutations:.1f} permutations"] if covered.log10_permutations else []
    parts += [count(covered.signs, "sign")] if covered.signs else []
    parts += [count(covered.continuous, "continuous dimension")] if covered.continuous else []
    parts += [f"{covered.approximate:,} more where eps is 0"] if covered.approximate else []
    yield "symmetries", ", ".join(parts) or "none was found", "" if parts else "bold"
    yield from _pinned(spec)
    yield "complete", *_completeness(found.counted)
    yield from _proved(found)
    if found.same is not None:
        yield from _same(found)


def _pinned(spec: Spec) -> Iterator[tuple[str, str, str]]:
    """What nothing acts on, and why; the most parameters first."""
    for pinned in sorted(spec.pinned, key=lambda p: -p.parameters):
        if pinned.tensors and FAILED not in pinned.reason:
            names = _few(abbreviated(pinned.tensors))
            yield "pinned", f"{count(pinned.parameters, 'parameter')}: {pinned.reason} ({names})", ""
    for pinned in spec.pinned:
        if FAILED not in pinned.reason and (pinned.where or pinned.reason.startswith("no rule for")):
            yield "unknown", f"{pinned.reason}" + (f", in {pinned.where}" if pinned.where else ""), "yellow"
    for pinned in spec.pinned:
        if FAILED in pinned.reason:
            lost = f"; nothing acts on {_few(abbreviated(pinned.tensors))} any more" if pinned.tensors else ""
            yield "dropped", pinned.reason + lost, "bold red"


def _completeness(counted: Completeness | str) -> tuple[str, str]:
    if isinstance(counted, str):
        return counted, "dim"
    of = f"({count(counted.parameters, 'parameter')})"
    redundant = count(counted.nullity, "redundant dimension")
    if counted.equal:
        return f"yes: the function has {redundant}, all of them in the spec {of}", "green"
    words = f"{counted.predicted} of {redundant} are in the spec {of}"
    if counted.clear:
        return f"no: {words}", "yellow"
    return f"undecided: {words}, but zero and non-zero singular values are not far apart", "yellow"


def _proved(found: Found) -> Iterator[tuple[str, str, str]]:
    """How many spaces were proved, how well, on what."""
    report = found.report
    if report is None:
        yield "proved", "nothing: there is no network to run (add --model and -i)", "yellow"
        return
    certificate: Mapping[str, Any] = report.settings.get("certificate", {})
    spaces = [f for f in report.findings if f.output in found.spec.spaces]
    holding = [f for f in spaces if f.verdict.holds]
    words = f"{len(holding)} of {count(len(spaces), 'space')}" if spaces else "nothing: there is no space"
    joint = next((f for f in report.findings if f.output not in found.spec.spaces), None)
    if joint is not None:
        words += ", and all at once" if joint.verdict.holds else ", but not all at once"
    errors = [_error(f) for f in report.findings if f.verdict is Verdict.EXACT]
    controls = [p["control"] for p in certificate.get("proofs", ()) if p["control"] is not None]
    words += f"; worst error {number(max(errors))}" if errors else ""
    words += f", weakest control {number(min(controls))}" if controls else ""
    yield "proved", words, style_of(Verdict.EXACT if len(holding) == len(spaces) else Verdict.BROKEN)
    yield "proved", f"{certificate.get('dtype')}, seed {certificate.get('seed')}, {_effort(report)}", "dim"
    for line in certificate.get("inputs", ()):
        yield "proved", f"input {line}", "dim"
    for note in report.notes:
        if FAILED not in note:
            yield "note", note, ""


def _effort(report: Report) -> str:
    return f"{count(report.forwards, 'forward')} in {duration(report.seconds)}"


def _same(found: Found) -> Iterator[tuple[str, str, str]]:
    answer = found.same
    if answer is None:
        return
    word = {True: "same", False: "different", None: "undecided"}[answer.same]
    style = {True: "bold green", False: "bold red", None: "bold yellow"}[answer.same]
    words = f"{word}: {answer.reason}"
    if answer.same is False:
        words += f"; weights {number(answer.distance)} apart after matching" + (", which is close" * answer.close)
    yield "function", words, style


def _failures(page: Page, found: Found) -> None:
    """The spaces that do not hold, by what is wrong with them and the tensor at fault."""
    groups: dict[tuple[Verdict, str], list[str]] = {}
    for finding in found.report.findings if found.report else ():
        if not finding.verdict.holds:
            words = finding.note if finding.verdict is Verdict.TRIVIAL else finding.note or finding.advice
            groups.setdefault((finding.verdict, words), []).append(finding.output)
    for (verdict, words), names in groups.items():
        label = page.mark(verdict, word=False)
        page.labelled(label, Text.assemble((_few(names, 8), "bold"), ": ", page.text(words)), 1)


def _next(found: Found) -> Iterator[tuple[str, str]]:
    """What was written, and the next command to try."""
    for what, path in found.written.items():
        yield f"wrote {what}: ", str(path)
    if found.checkpoint is None or not found.movable or not found.spec.spaces or found.exit_code:
        return
    kept = found.given or found.written.get("spec")
    spec = kept or Path(f"{found.name}.spec.toml")
    near = os.path.relpath(found.checkpoint)
    shown = str(found.checkpoint) if near.startswith("..") else near
    words = ["symcheck", "apply", shown, "--spec", str(spec), "-o", "moved.safetensors"]
    yield ("next: " if kept else f"next: add -o {spec}, then "), shlex.join(words)


def _few(names: Iterable[str], most: int = 3) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
