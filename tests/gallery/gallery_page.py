"""The gallery's page, from the reports of its subjects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gallery_rows import HEADINGS, cells_of, claim_of, errors_of, output_of, rows_of, table

from symcheck.report import numbers
from symcheck.report.model import Finding, Report, Verdict

HEAD = """# A gallery of real networks

What `symcheck` says about {count} subjects, trained networks that come inside packages. Every row is what one command
printed:

```sh
symcheck audit tests/gallery/NAME.toml
```

This page is written by `python tests/gallery/gallery_make.py` and not by hand; `pytest -m gallery` measures everything
again and compares. Written on {date} with symcheck {symcheck}, torch {torch}, Python {python}, on the CPU, one thread.
The packages are pinned by sha256 in `tests/gallery/wheels.py`; none of their weights and no data sets are kept here.

**How to read it.** Errors are fractions of the output's *spread*: what differs between samples and over the group;
141 % is what two unrelated outputs give. The *floor* is what rounding alone gives. *exact*: nothing beyond rounding,
which also falls with machine epsilon from float32 to float64 where precision could be raised. *approximate* and
*broken*: the whole 95 % interval lies below, or above, 0.1 %. *inconclusive*: it contains 0.1 %. *Who says so*: the
claim is published by the authors, implied by construction or by the problem, assumed by its users, or made by nobody
(none); what nobody claims and breaks is no fault. *Largest*: where a claim does not hold, the first of a few smaller
groups under which it does. *Took*: seconds of CPU of the whole command, its start included.
"""


@dataclass(frozen=True)
class Shown:
    """One subject: what gallery.toml says of it, its report, and what was made beside it."""

    name: str
    about: Mapping[str, Any]
    report: Report
    says: Mapping[str, str]
    took: str
    ladder: Report | None = None
    picture: str = ""
    pair: str = ""
    by_hand: str = ""


@dataclass(frozen=True)
class Weights:
    """What `symcheck weights` said of one network."""

    name: str
    cells: Sequence[str]


def page(shown: Sequence[Shown], weights: Sequence[Weights], date: str) -> str:
    """The whole page."""
    facts = {**shown[0].report.environment, "date": date, "count": len(shown)}
    lines = [cells_of(row) for s in shown for row in rows_of(s.name, s.report, s.says, s.took, s.ladder)]
    parts = [HEAD.format(**facts), "## Every claim\n", table(HEADINGS, lines)]
    if weights:
        head = ("network", "what changes the weights and not the function", "acted on", "proved", "worst error", "took")
        parts += ["## Symmetries of the weights\n", WEIGHTS, table(head, [w.cells for w in weights])]
    parts += ["## One by one\n", *(section(s) for s in shown)]
    return "\n".join(parts)


WEIGHTS = """`symcheck weights` derives them from the traced network and proves each by running it in float64 on two
inputs, beside a near miss that must change the output. *Dimensions* counts the continuous symmetries; *nearly* are
those that an eps in a normalisation spoils. The worst error is that of the exact ones.
"""


def section(s: Shown) -> str:
    """One network: what it claims, what holds, what breaks and where, a picture, and how worst pairs are replayed."""
    about, report = s.about, s.report
    origin = f"`{about['package']}`, {about['licence']}" + (f"; data from `{about['data']}`" if "data" in about else "")
    size = f"{report.subject['parameters']:,} parameters; " if report.subject.get("parameters") else ""
    head = f"### {s.name}\n\n**{report.subject['name']}** · {origin} · {size}[{s.name}.toml]({s.name}.toml)\n"
    text = [" ".join(about["about"].split()), *_holds(report), *_breaks(s), precision(report)]
    parts = [head, "\n".join(_wrapped(" ".join(text))) + "\n"]
    if s.picture:
        parts.append(f"![The errors of {report.subject['name']}]({s.picture})\n")
    if s.pair:
        parts.append(REPLAY.format(name=s.name, pair=s.pair, by_hand=s.by_hand.strip()))
    return "\n".join(parts)


REPLAY = """The worst pairs of what was claimed and does not hold, each one input sample and one element, are in
[{pair}]({pair}); replay them, or check them by hand in plain PyTorch:

```
$ symcheck audit tests/gallery/{name}.toml --replay tests/gallery/{pair}
$ python tests/gallery/by_hand/{name}.py
{by_hand}
```
"""


def _named(f: Finding) -> str:
    return f"`{output_of(f)}`"


def _holds(report: Report) -> Iterator[str]:
    """A sentence for every claim on what holds of it."""
    by_claim: dict[str, list[Finding]] = {}
    for f in report.findings:
        if f.verdict.holds:
            by_claim.setdefault(claim_of(f), []).append(f)
    for claim, found in by_claim.items():
        kinds = {str(f.verdict) for f in found}
        top = max(f.error.spread.mean for f in found if f.error)
        size = "no difference at all" if top == 0 else f"at most {numbers.ratio(top)} on average"
        yield f"**Holds:** `{claim}` on {', '.join(map(_named, found))} ({' and '.join(sorted(kinds))}, {size})."


def _breaks(s: Shown) -> Iterator[str]:
    """A sentence for every finding that does not hold: by how much, where it is worst, and what smaller groups give."""
    words = {Verdict.BROKEN: "Breaks", Verdict.INCONCLUSIVE: "Undecided", Verdict.TRIVIAL: "Not tested"}
    for f in s.report.findings:
        if f.verdict.holds:
            continue
        word = words.get(f.verdict, str(f.verdict).capitalize())
        if f.error is None or f.worst is None:
            yield f"**{word}:** `{claim_of(f)}` on {_named(f)}: {f.note}."
            continue
        element = re.sub(r"\(0 deg\)", "", f.worst.element).strip()
        where = f"worst {numbers.ratio(f.worst.value)} at {element}"
        who = "" if s.says[f.claim] == "none" else f", which is {s.says[f.claim]}"
        yield f"**{word}:** `{claim_of(f)}`{who}, on {_named(f)} by {numbers.error(f)}, {where}."
    yield from _smaller(s)


def _smaller(s: Shown) -> Iterator[str]:
    if s.ladder is None:
        return
    broken = dict.fromkeys((f.claim, f.output) for f in s.report.findings if not f.verdict.holds)
    for claim, output in broken:
        found = errors_of(s.ladder, claim, output)
        if found:
            said = ", ".join(f"{group} {error}" for group, error in found)
            yield f"Smaller groups, `{output}`: {said}."


def precision(report: Report) -> str:
    """Whether the subject was also run in double precision, and if not, why."""
    for f in report.findings:
        _, found, why = f.note.partition("precision could not be raised")
        if found:
            return f"Precision could not be raised{why}."
    hows = {f.floor.how for f in report.findings}
    return "Precision was raised to float64." if "float64 run" in hows else f"Floors: {', '.join(sorted(hows))}."


def _wrapped(text: str) -> list[str]:
    """Lines of at most 120 characters; bold words begin a line."""
    lines: list[str] = []
    for sentence in re.split(r" (?=\*\*[A-Z])| (?=Precision |Smaller groups)", text):
        line = ""
        for word in sentence.split(" "):
            if line and len(line) + 1 + len(word) > 120:
                lines.append(line)
                line = ""
            line = f"{line} {word}" if line else word
        lines.append(line)
        lines.append("")
    return lines[:-1]
