"""What a merge has to say against itself: worse than its baselines, aligned by chance, not proved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from symcheck.merge.evaluate import Score

_LITTLE = 0.1  # of what matching alone leaves to be found, 1 − null; independent weights stay within 0.02
_Figure = tuple[float, float]  # with its standard error; more is worse


def chance(alignments: Mapping[str, Any], *, proved: bool) -> Iterator[str]:
    """The alignments whose cosine is hardly above that of shuffled weights; and that none was proved, if so."""
    for name, record in alignments.items():
        after, null = record["cosine"]["after"], record["cosine"]["null"]
        if null is not None and after - null < _LITTLE * (1 - null):
            yield (
                f"the alignment of {name} found little more than chance: "
                f"cosine {after:.2f}, and {null:.2f} of shuffled weights"
            )
    if alignments and not proved:
        yield (
            "nothing was run to prove that what was aligned is the same function: give --model and -i data with labels"
        )


def setbacks(scores: Sequence[Score], singles: Sequence[str], naive: str, merged: str) -> Iterator[str]:
    """On the last data set: is the merged network worse than every single one, or than their naive average?

    Worse by more than the standard error of the difference, as of independent samples, in accuracy or else in loss.
    """
    rows = {score.model: score for score in scores if score.data == scores[-1].data}
    if not rows:
        return
    on = f", on {scores[-1].data}" if scores[0].data != scores[-1].data else ""
    against = {"every one of them": list(singles), "the average of the checkpoints as given": [naive]}
    for whom, names in against.items():
        if words := _worse(rows[merged], [rows[name] for name in names]):
            yield f"the merged network is worse than {whom}: {words}{on}"


def _worse(merged: Score, others: Sequence[Score]) -> str:
    """By what the merged one is worse than the worst of the others, '' if it is not."""
    measures: list[tuple[Callable[[Score], _Figure | None], str]] = [(_mistakes, "accuracy"), (_loss, "loss")]
    for measure, what in measures:
        own, figures = measure(merged), [measure(other) for other in others]
        known = [figure for figure in figures if figure is not None]
        if own is None or not known:
            continue
        worst = max(known)
        if own[0] - worst[0] > (own[1] ** 2 + worst[1] ** 2) ** 0.5:
            return f"{what} {_shown(what, own[0])} against {_shown(what, worst[0])}"
    return ""


def _mistakes(score: Score) -> _Figure | None:
    return None if score.accuracy is None else (1 - score.accuracy, score.accuracy_error or 0.0)


def _loss(score: Score) -> _Figure:
    return score.loss, score.error


def _shown(what: str, value: float) -> str:
    return f"{100 * (1 - value):.3g} %" if what == "accuracy" else f"{value:.3g}"
