"""Documents with everything that a page can draw, and a reader of pages that names their faults."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from reports import finding, report
from safetensors.numpy import save_file

from symcheck.report.model import Curve, Finding, Report, Verdict, Worst
from symcheck.report.outcome import GateReport, Place, Status, outcomes_of

VOID = {"meta", "link", "br", "hr", "img", "input", "area", "base", "col", "embed", "source", "track", "wbr"}


def curve(kind: str, count: int = 12, *, scale: float = 0.05) -> Curve:
    """A curve of this kind, mirrored in its second half where elements can be."""
    turns = [2 * math.pi * i / count for i in range(count)]
    mirrored = [float(i >= count // 2) for i in range(count)]
    axes = np.random.default_rng(0).normal(size=(count, 3))
    at: dict[str, tuple[tuple[float, ...], ...]] = {
        "angle": tuple(zip(turns, mirrored, strict=True)),
        "rotation": tuple((*axis, side) for axis, side in zip(axes.tolist(), mirrored, strict=True)),
        "number": tuple((float(i + 1),) for i in range(count)),
        "listed": (),
    }
    errors = tuple(scale * (1 + math.sin(turn)) for turn in turns)
    return Curve(kind, tuple(f"element {i}" for i in range(count)), errors, at[kind])


def drawn(verdict: Verdict = Verdict.BROKEN, mean: float = 0.05, **changes: Any) -> Finding:
    """A finding with a curve and a distribution."""
    levels = tuple((mean * 10 ** (2 * i / 40 - 1)) for i in range(41))
    return finding(verdict, mean, **{"curve": curve("angle"), "distribution": levels, **changes})


def drawn_report(folder: Path) -> Report:
    """Every kind of curve once, with the worst pairs in a file in `folder`."""
    file = folder / "sample.worst.safetensors"
    save_pairs(file)
    findings = [
        drawn(curve=curve("angle"), output="logits"),
        drawn(curve=curve("rotation"), output="forces", part="improper"),
        drawn(curve=curve("listed"), claim="D4: image -> image", output="mask"),
        drawn(curve=curve("listed", 48), claim="D4: image -> image", output="energy"),
        drawn(Verdict.EXACT, 3e-7, curve=curve("number", scale=3e-7), claim="Shift: x -> x", output="features"),
    ]
    kept = [replace(f, worst=Worst("an element", 3, 0.2, f"{file}#{i}")) for i, f in enumerate(findings)]
    return report(*kept, finding(Verdict.TRIVIAL, 0.0, error=None, worst=None, claim="S: x -> x"), notes=("a note",))


def save_pairs(file: Path) -> None:
    """Pairs with logits, forces on points, an image, one number, and many numbers."""
    rng = np.random.default_rng(1)
    image, points = rng.random((1, 3, 8, 8)), rng.normal(size=(1, 6, 3))
    sides = {
        0: ("logits", {"image": image}, rng.normal(size=(1, 10))),
        1: ("forces", {"pos": points}, rng.normal(size=(1, 6, 3))),
        2: ("mask", {"image": image}, rng.random((1, 1, 8, 8))),
        3: ("energy", {"pos": points}, rng.normal(size=(1,))),
        4: ("features", {"x": rng.normal(size=(1, 50))}, rng.normal(size=(1, 200))),
    }
    tensors = {}
    for i, (output, inputs, left) in sides.items():
        tensors |= {f"{i}/left/{output}": left, f"{i}/right/{output}": left + 0.1}
        for name, x in inputs.items():
            tensors |= {f"{i}/input/{name}": x, f"{i}/moved/{name}": np.ascontiguousarray(x[..., ::-1])}
    pairs = json.dumps([{"owner": ""}] * len(sides))
    save_file(tensors, file, metadata={"format": "symcheck.worst/1", "pairs": pairs})


def gate_report(folder: Path) -> GateReport:
    """A gate with every status, on a report."""
    found = drawn_report(folder)
    outcomes = [replace(o, status=s) for o, s in zip(outcomes_of(found), (*Status, Status.PASSED), strict=True)]
    outcomes[0] = replace(outcomes[0], value=None, low=None, high=None, place=Place("symcheck.toml", 7))
    outcomes[3] = replace(outcomes[3], waiver="until 2030", baseline=0.04)
    return GateReport("symcheck.toml", tuple(outcomes), (found,), ("a note of the gate",), {"python": "3.11"}, 1.5)


def connection() -> dict[str, Any]:
    """A document of symcheck connect with three paths."""
    t = [0.0, 0.25, 0.5, 0.75, 1.0]

    def path(name: str, height: float) -> dict[str, Any]:
        values = [0.1 + height * math.sin(math.pi * x) for x in t]
        top = {"value": height, "at": 0.5, "error": 0.01, "midpoint": height, "midpoint_error": 0.01}
        one = {"samples": 10, "loss": values, "barrier": top, "error": values, "error_barrier": top, "ratio": None}
        mechanism = {"claim": "C4: image -> invariant", "output": "y", "part": "", "measure": "share", "t": t}
        mechanism |= {"error": values, "barrier": 0.1, "at": 0.5, "midpoint": 0.1}
        return {"name": name, "curves": {"train": one}, "deviation": {"conv1": 0.9}, "mechanisms": [mechanism]}

    heights = {"naive": 0.9, "aligned": 0.2, "aligned + REPAIR": 0.05}
    return {
        "schema": "symcheck.connect/1", "t": t, "variants": {k: path(k, v) for k, v in heights.items()},
        "loss": "cross_entropy", "alignment": {"how": "by a spec"}, "settings": {"seed": 3, "inputs": "data set.npz"},
        "environment": {"dtype": "float32", "device": "cpu"}, "notes": ["a note"], "seconds": 1.0, "forwards": 10,
        "checkpoints": [{"path": "a.safetensors"}, {"path": "b.safetensors"}],
    }  # fmt: skip


class Reader(HTMLParser):
    """The elements of a page, and what is wrong with how they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.faults: list[str] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), [*self.open]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), [*self.open]))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing, at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    reader.faults += [f"<{tag}> is never closed" for tag in reader.open]
    return reader


def faults(html: str) -> list[str]:
    """What is wrong with a page: nesting, ids, references, plots without words, and all that it would load."""
    reader = read(html)
    return [*reader.faults, *_ids(reader), *_plots(html), *_loads(reader, html)]


def _ids(reader: Reader) -> Iterator[str]:
    ids = [attrs["id"] for _, attrs, _ in reader.elements if "id" in attrs]
    yield from (f"id {one} is there twice" for one in {*ids} if ids.count(one) > 1)
    for tag, attrs, _ in reader.elements:
        named = (attrs.get("aria-labelledby") or "").split()
        for name, value in attrs.items():
            named += re.findall(r"url\(#([^)]+)\)", value or "")
            named += [(value or "")[1:]] if name.endswith("href") and (value or "").startswith("#") else []
        yield from (f"<{tag}> refers to {one}, which is not there" for one in named if one not in ids)


def _plots(html: str) -> Iterator[str]:
    for svg in re.findall(r"<svg\b.*?</svg>", html, flags=re.DOTALL):
        head = svg[: svg.index(">")]
        if 'role="img"' not in head or "aria-labelledby" not in head:
            yield f"a plot without a role: {head}"
        told = [tag for tag in ("title", "desc") if re.search(rf"<{tag}[^>]*>[^<]+<", svg)]
        yield from (f"a plot without <{tag}>" for tag in ("title", "desc") if tag not in told)


def _loads(reader: Reader, html: str) -> Iterator[str]:
    for tag, attrs, _ in reader.elements:
        for name, value in attrs.items():
            given = (value or "").strip()
            loads = name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data")
            if loads and given and not given.startswith(("#", "data:image/png;base64,")):
                yield f"<{tag}> loads {given[:60]}"
            if name.startswith("on"):
                yield f"<{tag}> runs {name}"
        if tag in ("link", "iframe", "object", "embed", "base"):
            yield f"<{tag}> is there"
    yield from (f"a style loads {url}" for url in re.findall(r"@import|url\((?!#)[^)]*\)", html))


def data_of(html: str) -> Any:
    """The document inside a page."""
    texts = [text for path, text in read(html).texts if path and path[-1] == "script"]
    return json.loads(texts[0])


def expected(data: Any) -> list[list[Any]]:
    """Which verdict each row of a page must show, by the data: [kind, index, word]."""
    reports = data["reports"] if "outcomes" in data else [data] if "findings" in data else []
    rows = [["outcome", i, outcome["status"]] for i, outcome in enumerate(data.get("outcomes", ()))]
    for number, one in enumerate(reports):
        rows += [[f"finding-{number}", i, found["verdict"]] for i, found in enumerate(one["findings"])]
    return sorted(rows)


def shown(html: str) -> list[list[Any]]:
    """Which verdict each row of a page shows: [kind, index, word]."""
    row = r'<details class="row" data-kind="([^"]+)" data-index="(\d+)".*?<span class="word">(\w+)</span>'
    return sorted([kind, int(index), word] for kind, index, word in re.findall(row, html, flags=re.DOTALL))
