"""Every unit of a job once, by whichever engine, and the findings that their pieces add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from symcheck.engines.engine import BLOCKS, Engine, alone, on_devices
from symcheck.engines.job import Job, forwards_of, identity, units_of
from symcheck.engines.spread import Spread
from symcheck.engines.store import Store
from symcheck.errors import ClaimError, DataError
from symcheck.measure.audit import Audit
from symcheck.measure.piece import Piece, findings_of
from symcheck.measure.worst import WorstPair
from symcheck.report.model import Finding

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Measured:
    """What was found: by claim its pieces, the findings and worst pairs in order, and how it was come by."""

    pieces: Mapping[int, Sequence[Piece]]
    found: Sequence[tuple[Finding, WorstPair]]
    notes: tuple[str, ...]
    forwards: int
    settings: Mapping[str, Any]


def measure(session: Audit, job: Job, proposed: bool, spread: Spread, progress: Tell | None) -> Measured:
    """Measure every claim; a proposed claim that does not fit is noted, a stated one is an error.

    `progress` is called with (units done, units in all) where units are shared out or kept.
    """
    before = forwards_of(session)
    store = Store(spread["resume"], identity(job)) if "resume" in spread else None
    with _engine(session, job, spread) as engine:
        units = units_of(job.how.claims, engine.blocks, spread.get("shard", (1, 1)))
        done = {unit: kept for unit in units if store is not None and (kept := store.load(unit)) is not None}
        with closing(engine.run([unit for unit in units if unit not in done])) as results:
            for one in results:
                if one.error is not None and not (proposed and isinstance(one.error, ClaimError | DataError)):
                    raise one.error
                if store is not None and one.error is None:
                    store.keep(one)
                done[one.unit] = one
                if progress is not None and spread:
                    progress(len(done), len(units))
    failed = {unit.claim: one.error for unit, one in done.items() if one.error is not None}
    pieces = {
        claim: [piece for unit in units if unit.claim == claim for piece in done[unit].pieces]
        for claim in range(len(job.how.claims))
        if claim not in failed
    }
    found = [pair for own in pieces.values() for pair in findings_of(own, whole="shard" not in spread)]
    notes = [f"not measured: {job.how.claims[claim]} ({error.message})" for claim, error in sorted(failed.items())]
    return Measured(
        pieces,
        found,
        (*notes, *(store.notes if store is not None else ())),
        before + sum(one.forwards for one in done.values()),
        {**engine.settings, **_shard(spread)},
    )


@contextmanager
def _engine(session: Audit, job: Job, spread: Spread) -> Iterator[Engine]:
    if "devices" in spread:
        yield on_devices(job, spread["devices"])
    elif "scheduler" in spread:
        from symcheck.engines.cluster import on_workers

        with on_workers(job, spread["scheduler"], spread.get("recipe")) as engine:
            yield engine
    else:
        yield alone(session, BLOCKS if "resume" in spread else 1)


def _shard(spread: Spread) -> dict[str, str]:
    return {"shard": "{}/{}".format(*spread["shard"])} if "shard" in spread else {}
