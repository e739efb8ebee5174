"""The documents of the other commands as sections, each by its own builder; and any other as plain facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from symcheck.errors import LoadError
from symcheck.report import numbers
from symcheck.report.documents import TOLD
from symcheck.report.entry import Entry, brief
from symcheck.report.html.discover import discover_sections, discovered
from symcheck.report.html.figures.barrier import barrier_panels, checkpoint_names, data_name, ends
from symcheck.report.html.locate import locate_sections
from symcheck.report.html.reproduce import pair_command, subject_command
from symcheck.report.html.view import Block, Easel, Facts, Section, Table, Words
from symcheck.report.model import SCHEMA as REPORT
from symcheck.report.model import Report
from symcheck.report.reading import unfit

_LONG = 200  # characters of one value among plain facts
_LAYERS = 40
LOCATED, DISCOVERED = TOLD
_FOUND = ("subject", "settings", "environment", "findings")


def document_title(data: Mapping[str, Any]) -> str:
    """The names of the checkpoints, or of the subject."""
    subject = data.get("subject") or {}
    name = subject.get("name") if isinstance(subject, Mapping) else ""
    return " and ".join(checkpoint_names(data)) or brief(str(name or "")) or _command(data)


def document_words(data: Mapping[str, Any]) -> str:
    """What was found, in one line; empty where the sections say it."""
    return discovered(data) if data.get("schema") == DISCOVERED else ""


def findings_in(data: Mapping[str, Any]) -> Report | None:
    """The findings that a document holds beside its own parts; LoadError names what does not fit."""
    if data.get("schema") != LOCATED:
        return None
    return Report.from_dict({**{key: data.get(key) for key in _FOUND}, "schema": REPORT}, "report")


def document_summary(data: Mapping[str, Any]) -> list[str]:
    """What was measured, in short pieces."""
    environment = data.get("environment") or {}
    pieces = [_command(data), str(data.get("method") or data.get("loss") or "").replace("_", "-")]
    pieces += [f"{environment['dtype']} on {environment['device']}"] if "dtype" in environment else []
    settings = data.get("settings") if data.get("schema") in TOLD else None
    if isinstance(settings, Mapping) and type(settings.get("samples")) is int:
        pieces.append(numbers.count(settings["samples"], "sample"))
    pieces += [numbers.count(data["forwards"], "forward")] if type(data.get("forwards")) is int else []
    pieces += [numbers.duration(data["seconds"])] if isinstance(data.get("seconds"), float | int) else []
    return [piece for piece in pieces if piece]


def document_sections(data: Mapping[str, Any], easel: Easel) -> list[Section]:
    """What the document of this schema holds; then its notes, the command, settings and environment."""
    command = _command(data)
    own = _SUBJECTS.get(command)
    if own:
        _sound(Entry(data))
    found = own or _PAIRS.get(command)
    sections = [*found(data, easel)] if found else [Section("Content", [Facts(facts(data))])]
    if data.get("notes") and not own:
        sections.append(Section("Notes", [Words(str(note)) for note in data["notes"]]))
    if found:
        made = subject_command(data, command) if own else pair_command(data, command)
        sections.append(Section("Reproduce", [Words(made, "command")]))
    told = ("subject", "settings", "environment") if own else ("settings", "environment")
    about = [Facts(facts(data[name]), name) for name in told if data.get(name)]
    sources = data.get("checkpoints") or data.get("sources") or ()
    about += [Facts(facts(source), f"checkpoint {i}") for i, source in enumerate(sources, 1)]
    return [*sections, Section("Settings and environment", about, folded=True)]


def _sound(data: Entry) -> None:
    """Raise `LoadError` for what no section reads: settings that are no object, numbers beyond all floats."""
    if fault := unfit(data.value):
        raise LoadError(f"the document {fault}", where="report", hint="write it again with the command that made it")
    for name in _FOUND[:3]:
        if not isinstance(data[name].value, Mapping):
            data[name].refuse("an object")


def facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Plain data as names and words; what is nested keeps its path, what is empty goes."""
    found: list[tuple[str, str]] = []
    for key, value in data.items():
        if isinstance(value, Mapping):
            found += [(f"{key}.{name}", words) for name, words in facts(value)]
        elif value not in (None, "", [], ()):
            words = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            found.append((str(key), words if len(words) <= _LONG else words[:_LONG] + "…"))
    return found


def _command(data: Mapping[str, Any]) -> str:
    return str(data.get("schema", "")).removeprefix("symcheck.").partition("/")[0]


def _bracketed(words: str) -> str:
    return f" ({words})" if words else ""


def _connect(data: Mapping[str, Any], easel: Easel) -> Iterator[Section]:
    blocks: list[Block] = [*easel.figures(barrier_panels(data))]
    variants = data["variants"]
    for name in next(iter(variants.values()))["curves"]:
        rows = [_path_row(key, variant["curves"][name], data["t"]) for key, variant in variants.items()]
        head = ("path", "loss A", "½", "B", "barrier", "at", "of the naive", "error barrier")
        blocks.append(Table(head, rows, data_name(name)))
    yield Section(f"Along the paths from A to B{_bracketed(ends(data))}", blocks)
    layers = [*dict.fromkeys(layer for variant in variants.values() for layer in variant.get("deviation") or {})]
    if layers:
        body = [[layer, *(numbers.number(v["deviation"].get(layer)) for v in variants.values())] for layer in layers]
        told = Words("Deviation of the outputs of each layer at the midpoint, over that of the ends: 1 if kept.")
        yield Section("Layers", [told, Table(("layer", *variants), body[:_LAYERS])])
    record = data.get("alignment") or {}
    if record.get("how"):
        yield Section("Alignment", [Words(str(record["how"])), *_alignment(record.get("record") or {})])


def _path_row(name: str, curve: Mapping[str, Any], t: Sequence[float]) -> list[str]:
    loss, middle = curve["loss"], [*t].index(0.5)
    ratio = "" if curve.get("ratio") is None else numbers.ratio(curve["ratio"])
    ends = [numbers.number(loss[i]) for i in (0, middle, -1)]
    wrong = curve.get("error_barrier")
    rate = "" if not wrong else f"{numbers.ratio(wrong['value'])} ± {numbers.ratio(wrong['error'])}"
    return [name, *ends, _signed(curve["barrier"]), f"{curve['barrier']['at']:.2f}", ratio, rate]


def _signed(barrier: Mapping[str, Any]) -> str:
    return f"{numbers.number(barrier['value'])} ± {numbers.number(barrier['error'])}"


def _align(data: Mapping[str, Any], easel: Easel) -> Iterator[Section]:
    names = checkpoint_names(data)
    for i, record in enumerate(data["alignments"], 1):
        yield Section(f"{names[i]} onto {names[0]}", _alignment(record))
    if data.get("cycles"):
        rows = [[", ".join(map(str, c["models"])), numbers.ratio(c["kept"])] for c in data["cycles"]]
        yield Section("Cycles", [Table(("checkpoints", "units left in place"), rows)])


def _alignment(record: Mapping[str, Any]) -> list[Block]:
    """Cosines, controls and proof, then one row for each space."""
    if not record:
        return []
    cosine, planted, same = record["cosine"], record.get("planted"), record.get("same_function")
    pairs = [("cosine", f"{cosine['before']:.3f} → {cosine['after']:.3f} in one gauge")]
    pairs += [("shuffled weights", f"{cosine['null']:.3f}")] if cosine.get("null") is not None else []
    pairs += [("planted", f"{planted['recovered']} of {planted['units']} units recovered")] if planted else []
    pairs += [("agreement", numbers.ratio(record["agreement"]))] if record.get("agreement") is not None else []
    if same:
        word = "the same" if same["same"] else "NOT the same"
        pairs.append(("function", f"{word}: outputs differ by {numbers.number(same['distance'])} of their spread"))
    pairs += [("left alone", f"{name}: {why}") for name, why in (record.get("left_alone") or {}).items()]
    rows = [_space(space) for space in record.get("spaces") or ()]
    head = ("space", "group", "moved", "cosine before", "after", "margin", "doubles")
    return [Facts(pairs), *([Table(head, rows, "Spaces")] if rows else [])]


def _space(space: Mapping[str, Any]) -> list[str]:
    margin = "" if space.get("margin") is None else f"{space['margin']:.2f}"
    group, moved = (f"{space[key]} of {space['units']}" for key in ("kind", "moved"))
    cosines = [f"{round(space[when], 2) + 0.0:.2f}" for when in ("before", "after")]
    return [space["space"], group, moved, *cosines, margin, str(space["ambiguous"] or "")]


def _merge(data: Mapping[str, Any], easel: Easel) -> Iterator[Section]:
    head: tuple[str, ...] = ("model", "data", "loss", "accuracy", "distance to the ensemble")
    rows = [
        [s["model"], s["data"], f"{numbers.number(s['loss'])} ± {numbers.number(s['error'])}",
         numbers.ratio(s.get("accuracy")), numbers.number(s.get("distance"))]
        for s in data.get("scores") or ()
    ]  # fmt: skip
    if rows:
        yield Section("Scores", [Table(head, rows)])
    layers = [_layer(one) for one in data.get("layers") or ()][:_LAYERS]
    if layers:
        head = ("layer", "shape", "cosine", "least", "sign conflicts", "size", "rank")
        yield Section("Layers", [Table(head, layers)])
    for name, record in (data.get("alignments") or {}).items():
        yield Section(f"Alignment of {name}", _alignment(record))


def _layer(one: Mapping[str, Any]) -> list[str]:
    shape = " × ".join(map(str, one["shape"]))
    values = [numbers.number(one.get(key)) for key in ("cosine", "least_cosine")]
    rest = [numbers.ratio(one.get("conflict")), numbers.number(one.get("size")), numbers.number(one.get("rank"))]
    return [one["name"], shape, *values, *rest]


def _distance(data: Mapping[str, Any], easel: Easel) -> Iterator[Section]:
    names = checkpoint_names(data)
    head = ("", *(str(i) for i in range(1, len(names) + 1)))
    titles = {"raw": "in one gauge", "modulo": "modulo the symmetries", "outputs": "of the outputs, over their spread"}
    for key, title in titles.items():
        if data.get(key):
            rows = [
                [f"{i + 1} {name}", *("·" if i == j else numbers.number(x) for j, x in enumerate(row))]
                for i, (name, row) in enumerate(zip(names, data[key], strict=True))
            ]
            yield Section(f"Distance {title}", [Table(head, rows)])
    modes = [(f"{i} {name}", str(mode)) for i, (name, mode) in enumerate(zip(names, data["modes"], strict=True), 1)]
    known = [("shuffled weights", numbers.number(data["null"]))] if data.get("null") is not None else []
    yield Section("Modes", [Facts([*modes, *known])])


_PAIRS = {"connect": _connect, "align": _align, "merge": _merge, "distance": _distance}
_SUBJECTS = {"locate": locate_sections, "discover": discover_sections}
