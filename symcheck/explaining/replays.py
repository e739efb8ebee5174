"""Worst pairs of explanations: kept with what was explained, so that the explained subject can be made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from symcheck.explaining.explained import Explained, Scene, explained_subject
from symcheck.explaining.explainers import state
from symcheck.measure.session import audit_runner
from symcheck.measure.worst import WorstPair, origin_of, save_worst, with_sides
from symcheck.subject import Subject

_KEY = "explained"


def with_recipe(pair: WorstPair, text: str, made: Explained) -> WorstPair:
    """The pair with what the explained subject is made of."""
    scene = made.scene
    recipe = {"text": text, "word": made.word, "output": scene.output, "names": [*scene.names], "wrt": [*scene.wrt]}
    return replace(pair, form={**pair.form, _KEY: {**recipe, "seed": made.seed, "alone": made.alone}})


def subject_of(subject: Subject, pair: WorstPair) -> Subject:
    """What the pair was measured on: the subject itself, or the subject explained."""
    recipe = pair.form.get(_KEY)
    if recipe is None:
        return subject
    scene = Scene(subject, recipe["output"], tuple(recipe["names"]), tuple(recipe["wrt"]))
    explainer = state(recipe["text"]).explainer
    return explained_subject(Explained(scene, explainer, recipe["word"], seed=recipe["seed"], alone=recipe["alone"]))


def code_in(pairs: Sequence[WorstPair]) -> tuple[str, ...]:
    """The explainers of these pairs that are a user's own code, which a replay would run."""
    texts = [str(pair.form[_KEY]["text"]) for pair in pairs if _KEY in pair.form]
    return tuple(dict.fromkeys(text for text in texts if ":" in text))


def save(
    path: Path, pairs: Sequence[WorstPair], subject: Subject, seed: int, device: str | None, dtype: str
) -> None:
    """Write worst pairs with both sides, as those of an audit."""
    drawn = [with_sides(pair, audit_runner(subject_of(subject, pair), pair, device, dtype)) for pair in pairs]
    save_worst(path, drawn, origin_of(subject, seed, dtype))
