"""Shards: each measures its elements of every claim and writes its pieces; all of them together are one audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from symcheck.engines.job import Job, identity
from symcheck.errors import LoadError
from symcheck.measure.piece import Piece, findings_of
from symcheck.measure.piece_file import load_pieces, save_pieces
from symcheck.measure.worst import WorstPair, save_worst
from symcheck.report.merging import equal, frame
from symcheck.report.model import Report
from symcheck.report.write import parts_file

_HINT = "give the reports of all shards, 1/n to n/n, each once and with its .parts.safetensors beside it"


def save_shard(
    path: Path, pieces: Mapping[int, Sequence[Piece]], job: Job, shard: tuple[int, int],
    origin: Mapping[str, Any], drawn: Callable[[WorstPair], WorstPair],
) -> None:  # fmt: skip
    """Write the pieces of one shard, with what they are of; the worst of each output with both its sides `drawn`."""
    rows = [(claim, piece) for claim, own in pieces.items() for piece in own]
    worst: dict[tuple[int, tuple[int, int]], Piece] = {}
    for claim, piece in rows:
        key = (claim, piece.place)
        worst[key] = piece if key not in worst or piece.size > worst[key].size else worst[key]
    kept = [
        replace(piece, worst=drawn(piece.worst)) if worst[claim, piece.place] is piece else piece
        for claim, piece in rows
    ]
    about = {"job": identity(job), "shard": "{}/{}".format(*shard), "claims": list(job.how.claims),
             "claim of each": [claim for claim, _ in rows], "measured": list(pieces), "origin": origin}  # fmt: skip
    save_pieces(path, kept, about)


def join(shards: Sequence[tuple[Path, Report]], save: Path | None = None) -> Report:
    """The report that one run would have given, from those of all its shards; their worst pairs go to `save`.

    Raises LoadError where the shards are not of one audit, or one is missing, twice there or damaged; DataError where
    their elements do not add up.
    """
    named = [(str(path), report) for path, report in shards]
    base = frame(named)
    _complete(named)
    loaded = [(path, report, *load_pieces(parts_file(path))) for path, report in shards]
    first_path, _, _, first = loaded[0]
    for path, report, _, about in loaded:
        equal("number", str(path), report.settings["shard"], str(parts_file(path)), about.get("shard"))
        equal("claims", str(first_path), first.get("claims"), str(path), about.get("claims"))
        for what in first["job"]:
            equal(what, str(first_path), first["job"][what], str(path), about["job"].get(what))
    measured = [claim for claim in first["measured"] if all(claim in about["measured"] for *_, about in loaded)]
    found = [
        pair
        for claim in measured
        for pair in findings_of(
            piece
            for *_, pieces, about in loaded
            for piece, of in zip(pieces, about["claim of each"], strict=True)
            if of == claim
        )
    ]
    findings = [finding for finding, _ in found]
    if save is not None:
        save_worst(save, [pair for _, pair in found], first["origin"])
        findings = [replace(f, worst=f.worst and replace(f.worst, file=f"{save}#{i}")) for i, f in enumerate(findings)]
    settings = {key: value for key, value in base.settings.items() if key != "shard"}
    return replace(base, findings=tuple(findings), settings={**settings, "shards": len(shards)})


def _complete(named: Sequence[tuple[str, Report]]) -> None:
    """Refuse a shard that is missing or there twice, and reports that are no shards."""
    seen: dict[int, str] = {}
    counts: dict[int, str] = {}
    for name, report in named:
        index, slash, count = str(report.settings.get("shard", "")).partition("/")
        if not (slash and index.isdecimal() and count.isdecimal()):
            raise LoadError("this report is no shard, others are", where=name, hint=_HINT)
        if int(index) in seen:
            raise LoadError(f"shard {index}/{count} is there twice", where=f"{seen[int(index)]} and {name}", hint=_HINT)
        seen[int(index)], counts[int(count)] = name, name
    if len(counts) > 1:
        what = " and ".join(str(count) for count in counts)
        raise LoadError(f"these are shards of {what}", where=" and ".join(counts.values()), hint=_HINT)
    wanted = range(1, next(iter(counts)) + 1)
    missing = [f"{i}/{len(wanted)}" for i in wanted if i not in seen]
    if missing or len(seen) > len(wanted):
        what = f"shard {', '.join(missing)} is missing" if missing else f"there are more than {len(wanted)} shards"
        raise LoadError(what, where=", ".join(seen.values()), hint=_HINT)
