"""One report from the reports of shards: what belongs together is joined, what contradicts itself is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import PurePath
from typing import Any, TypeVar

from symcheck.errors import LoadError
from symcheck.report.model import Finding, Report, finite
from symcheck.report.outcome import GateReport, Outcome

T = TypeVar("T", Finding, Outcome)
Named = tuple[str, T]
_ALONE = ("seed", "elements", "samples", "gate", "against", "derive")  # settings that every shard shares
_BY_NAME = ("tolerance", "files")  # settings of which the entries agree that both have
_OWN = "one shard measured something else: measure all shards alike"


def merge(shards: Sequence[tuple[str, Report | GateReport]]) -> Report | GateReport:
    """Join the reports of shards, each with its file name: findings of all, counts and seconds added up.

    Findings (and outcomes of gates) that several shards have in common are kept once. Raises `LoadError` where the
    shards differ in network, seed, samples, elements, tolerance, precision or data, or where their findings do.
    """
    reports = [(name, shard) for name, shard in shards if isinstance(shard, Report)]
    gates = [(name, shard) for name, shard in shards if isinstance(shard, GateReport)]
    if not shards or (reports and gates):
        raise LoadError(
            "reports of audits and of gates cannot be joined" if shards else "there is nothing to join",
            where=", ".join(name for name, _ in shards) or "symcheck report merge",
            hint="give the shards of one kind",
        )
    return _reports(reports) if reports else _gates(gates)


def _reports(shards: Sequence[tuple[str, Report]]) -> Report:
    if parts := [name for name, shard in shards if "shard" in shard.settings]:
        raise LoadError(
            "this is a shard of elements, whose findings are no findings yet", where=parts[0],
            hint="join it with its others: symcheck report merge",
        )  # fmt: skip
    named = [(name, finding) for name, shard in shards for finding in shard.findings]
    return replace(frame(shards), findings=_joined(named, lambda f: (f.claim, f.output, f.part), _without_file))


def frame(shards: Sequence[tuple[str, Report]]) -> Report:
    """What the reports of one measurement have in common, without findings; LoadError where they are of several."""
    first_name, first = shards[0]
    for name, shard in shards[1:]:
        _same_measurement(first_name, first, name, shard)
    digests = [(name, shard.settings["data"]) for name, shard in shards if "data" in shard.settings]
    for name, digest in digests[1:]:
        equal("digest of the data", *digests[0], name, digest)
    return replace(
        first,
        settings=_settings([shard for _, shard in shards]),
        findings=(),
        notes=_notes(shards),
        seconds=sum(shard.seconds for _, shard in shards),
        forwards=sum(shard.forwards for _, shard in shards),
    )


def _gates(shards: Sequence[tuple[str, GateReport]]) -> GateReport:
    first_name, first = shards[0]
    for name, shard in shards[1:]:
        equal("configuration", first_name, first.config, name, shard.config)
    named = [(name, outcome) for name, shard in shards for outcome in shard.outcomes]
    return replace(
        first,
        outcomes=_joined(named, _question, lambda o: asdict(replace(o, replay=""))),
        reports=_embedded([(name, report) for name, shard in shards for report in shard.reports]),
        notes=_notes(shards),
        seconds=sum(shard.seconds for _, shard in shards),
    )


def _question(outcome: Outcome) -> Hashable:
    o = outcome
    return (o.check, o.gate, o.subject, o.claim, o.output, o.part, o.metric, o.stat)


def _embedded(reports: Sequence[tuple[str, Report]]) -> tuple[Report, ...]:
    """Every report once; those on one subject must be on the same network."""
    seen: dict[str, Report] = {}
    known: dict[str, tuple[str, Report]] = {}
    for name, report in reports:
        subject = str(report.subject.get("name") or "")
        where, first = known.setdefault(subject, (name, report))
        keys = ("sha256", "model", "arguments", "key") if _factory(first) and _factory(report) else ("sha256",)
        _same_network(where, first.subject, name, report.subject, keys)
        bare = replace(report, seconds=0.0, findings=tuple(_fileless(f) for f in report.findings))
        seen.setdefault(_text(asdict(bare)), report)
    return tuple(seen.values())


def _same_measurement(first_name: str, first: Report, name: str, shard: Report) -> None:
    """Refuse shards that did not measure the same thing in the same way."""
    _same_network(first_name, first.subject, name, shard.subject)
    for key in _ALONE:
        equal(key, first_name, first.settings.get(key), name, shard.settings.get(key))
    for key in _BY_NAME:
        one, other = first.settings.get(key), shard.settings.get(key)
        if not isinstance(one, Mapping) or not isinstance(other, Mapping):
            equal(key, first_name, one, name, other)
        else:
            for entry in one.keys() & other.keys():
                equal(f"{key} of '{entry}'", first_name, one[entry], name, other[entry])
    equal("precision", first_name, first.environment.get("dtype"), name, shard.environment.get("dtype"))
    equal("origin of the claims (proposed or stated)", first_name, first.proposed, name, shard.proposed)


def _same_network(
    first_name: str, first: Mapping[str, Any], name: str, other: Mapping[str, Any], keys: Iterable[str] = ()
) -> None:
    """Refuse subjects of other weights, code, arguments, ...: of these `keys`, or of all; folders may differ."""
    one, two = _network(first), _network(other)
    for key in keys or dict.fromkeys((*one, *two)):
        equal(f"{key} of the subject '{first.get('name') or ''}'", first_name, one.get(key), name, two.get(key))


def _network(subject: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a subject this network, without folders; what is empty goes."""
    kept = {**subject, "model": PurePath(str(subject.get("model") or "")).name, "path": ""}
    return {key: value for key, value in kept.items() if value not in (None, "", {}, [])}


def _factory(report: Report) -> str:
    return str(report.subject.get("model") or "")


def _settings(shards: Sequence[Report]) -> Mapping[str, Any]:
    """The settings of the first shard, with the digest of the data from whichever has one, and the claims of all."""
    digests = [shard.settings["data"] for shard in shards if "data" in shard.settings]
    lists = [shard.settings.get("claims") for shard in shards]
    claims = [claim for found in lists if isinstance(found, list | tuple) for claim in found]
    unique = [claim for i, claim in enumerate(claims) if claim not in claims[:i]]
    tables = {key: [t for s in shards if isinstance(t := s.settings.get(key), Mapping)] for key in _BY_NAME}
    united = {key: {k: v for table in found for k, v in table.items()} for key, found in tables.items() if found}
    given = {"data": digests[:1], "claims": [unique] if unique else []}
    return {**shards[0].settings, **united, **{key: found[0] for key, found in given.items() if found}}


def _joined(named: Iterable[Named[T]], key: Callable[[T], Hashable], plain: Callable[[T], Any]) -> tuple[T, ...]:
    """Each thing once, in the order of the shards; two answers to one question are refused."""
    found: dict[Hashable, tuple[str, T, str]] = {}
    for name, thing in named:
        text = _text(plain(thing))
        where, _, known = found.setdefault(key(thing), (name, thing, text))
        if text != known:
            what = thing.gate if isinstance(thing, Outcome) else f"{thing.claim}, {thing.output} {thing.part}".strip()
            raise LoadError(f"two shards contradict each other on '{what}'", where=f"{where} and {name}", hint=_OWN)
    return tuple(thing for _, thing, _ in found.values())


def _notes(shards: Sequence[tuple[str, Report | GateReport]]) -> tuple[str, ...]:
    """The notes of all, each once, and what the shards were made with where that differs."""
    notes = dict.fromkeys(note for _, shard in shards for note in shard.notes)
    for key, what in (("symcheck", "versions of symcheck"), ("torch", "versions of torch"), ("device", "devices")):
        values = dict.fromkeys(str(v) for _, shard in shards if (v := shard.environment.get(key)) is not None)
        if len(values) > 1:
            notes[f"the shards come from different {what}: {', '.join(values)}"] = None
    digests = [isinstance(shard, Report) and "data" in shard.settings for _, shard in shards]
    if any(digests) and not all(digests):
        notes["not every shard names the digest of its data: whether they share it was not checked"] = None
    return tuple(notes)


def equal(what: str, first_name: str, first: Any, name: str, other: Any) -> None:
    """Refuse two shards that differ in something."""
    if _text(first) != _text(other):
        raise LoadError(
            f"the shards differ in their {what}: {_brief(first)} and {_brief(other)}",
            where=f"{first_name} and {name}",
            hint=_OWN,
        )


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "…"


def _fileless(finding: Finding) -> Finding:
    """A finding without the file of its worst pair, which each shard writes for itself."""
    return finding if finding.worst is None else replace(finding, worst=replace(finding.worst, file=""))


def _without_file(finding: Finding) -> dict[str, Any]:
    return asdict(_fileless(finding))


def _text(value: Any) -> str:
    """Plain data as text in which NaN equals NaN."""
    return json.dumps(finite(value, [0]), sort_keys=True, default=str)
