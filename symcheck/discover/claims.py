"""What was found as claims in the language of `audit` and `gate`, each measured before it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, combinations

import torch
from torch import Tensor

from symcheck.claim import Claim
from symcheck.discover.algebra import row_space
from symcheck.discover.finite import output_names
from symcheck.discover.naming import Known, known
from symcheck.discover.span import Span
from symcheck.discover.unknowns import Block
from symcheck.errors import SymcheckError
from symcheck.grammar import ClaimTree, parse_claim
from symcheck.measure.audit import Audit
from symcheck.measure.samples import Samples
from symcheck.report.model import Verdict

_PARITY = {"vector": "pseudovector", "invariant": "pseudoscalar"}  # what mirrors may do instead
_MOST = 4  # blocks of which every combination is tried


@dataclass(frozen=True)
class _Form:
    """One group of the language: its generators, the action of what it moves, and what it makes superfluous."""

    group: str
    algebra: str
    action: str
    covers: tuple[str, ...] = ()
    mirrored: str = ""  # the same with mirrors


@dataclass(frozen=True)
class Stated:
    """Claims that the audit finds to hold, and groups under which some output moves in no way that has a word."""

    claims: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    reach: Mapping[str, Tensor] = field(default_factory=dict)  # group and inputs -> the found generators that they are

    def reached(self, claims: Iterable[str]) -> int:
        """How many independent generators some claims speak of."""
        rows = [self.reach[left] for left in dict.fromkeys(map(left_of, claims)) if left in self.reach]
        return len(row_space(torch.cat(rows), 1e-6)) if rows else 0


def claims_of(audit: Audit, span: Span) -> Stated:
    """Claims whose generators lie in the span, the largest groups only."""
    found: list[str] = []
    unnamed: list[str] = []
    reach: dict[str, Tensor] = {}
    for width in sorted({block.width for block in span.sources}):
        table = {one.name: one for one in known(width, True)}
        same = [block for block in span.sources if block.width == width]
        covered: set[tuple[str, tuple[str, ...]]] = set()
        for form in _forms(width):
            for moved in _subsets(same):
                key = tuple(block.name for block in moved)
                if (form.group, key) in covered or form.algebra not in table:
                    continue
                text, generators = _claim(audit, span, form, table[form.algebra], moved)
                if not text:
                    continue
                reach[left_of(text)] = generators
                words = [slot.terms[0].name for slot in parse_claim(text).outputs]
                if any(word != "ignore" for word in words):
                    found.append(text)
                if "ignore" not in words:
                    covered |= {(name, key) for name in form.covers}
                elif form.mirrored:
                    inputs = text.removeprefix(f"{form.group}:").removeprefix(f"{form.mirrored}:")
                    unnamed += [f"{name}:{inputs}" for name in (form.mirrored, form.group)]
                    reach |= {left_of(one): generators for one in unnamed[-2:]}
    return Stated(tuple(found), tuple(unnamed), reach)


def left_of(text: str) -> str:
    """The group and the inputs of a claim."""
    return text.partition("->")[0].strip()


def joined(audit: Audit, texts: Iterable[str]) -> list[str]:
    """One claim for each group and its inputs, with what several say of different outputs; joined ones are measured."""
    given = list(dict.fromkeys(texts))
    by: dict[str, list[ClaimTree]] = {}
    for text in given:
        by.setdefault(text.partition("->")[0], []).append(parse_claim(text))
    found = []
    for trees in by.values():
        slots = {slot.name: slot for tree in trees[::-1] for slot in tree.outputs if slot.terms[0].name != "ignore"}
        whole = replace(trees[0], outputs=tuple(slots.get(slot.name, slot) for slot in trees[0].outputs))
        if str(whole) in given or holding(audit, [str(whole)]):
            found.append(str(whole))
        else:
            found += map(str, trees)
    return found


def holding(audit: Audit, texts: Iterable[str]) -> list[str]:
    """Those of some claims that the audit finds exact or approximate for every output."""
    found = []
    for text in dict.fromkeys(texts):
        held = _verdicts(audit, text)
        if held and all(held.values()):
            found.append(text)
    return found


def _forms(d: int) -> list[_Form]:
    """Largest first."""
    scale = _Form("Scale(0.5,2)", "scalings", "vector")
    shifts = _Form(f"T({d})", f"t({d})", "points")
    if d == 1:
        return [shifts, scale]
    turns = _Form(f"SO({d})", f"so({d})", "vector", ("SO(2)",), f"O({d})")
    rigid = _Form(f"SE({d})", f"e({d})", "points", (f"SO({d})", f"T({d})", "SO(2)"), f"E({d})")
    linear = _Form(f"GL+({d})", f"gl({d})", "vector", (f"SO({d})", f"SO(1,{d - 1})", scale.group, "SO(2)"))
    boosts = _Form(f"SO(1,{d - 1})", f"so(1,{d - 1})", "vector")
    planar = [_Form("SO(2)", "so(2) about z", "vector")] if d == 3 else []
    return [rigid, linear, turns, boosts, shifts, scale, *planar]


def _subsets(blocks: list[Block]) -> Iterator[tuple[Block, ...]]:
    """Which inputs are moved together: all of them first."""
    sizes = range(len(blocks), 0, -1) if len(blocks) <= _MOST else (len(blocks), 1)
    return chain.from_iterable(combinations(blocks, size) for size in sizes)


def _claim(audit: Audit, span: Span, form: _Form, algebra: Known, moved: tuple[Block, ...]) -> tuple[str, Tensor]:
    """The claim of one group on some inputs, with mirrors where they hold, and its generators; empty if it does not."""
    targets = {}
    for block in span.sources:
        matrices = algebra.matrices.clone()
        matrices[:, :-1, -1] /= block.scale
        size = block.width + 1
        targets[block.name] = matrices if block in moved else torch.zeros((len(matrices), size, size)).double()
    chosen, left = span.towards(targets)
    if not left <= max(1e-6, 5 * span.tolerance):
        return "", chosen.joint
    words = _outputs(audit, chosen, algebra)
    names = {name for block in moved for name in block.inputs}
    if all(word == "ignore" for word in words.values()):
        return _sentence(audit, form.group, form.action, names, words) if chosen.outputs else "", chosen.joint
    if form.mirrored and (text := _with_mirrors(audit, form, names, words)):
        return text, chosen.joint
    text = _sentence(audit, form.group, form.action, names, words)
    return text if _holds(audit, text, words) else "", chosen.joint


def _with_mirrors(audit: Audit, form: _Form, moved: set[str], words: Mapping[str, str]) -> str:
    """The claim of the group with mirrors; every output as it is, or with the other parity."""
    plain = _verdicts(audit, _sentence(audit, form.mirrored, form.action, moved, words))
    other = {name: _PARITY.get(word, word) for name, word in words.items()}
    turned = _verdicts(audit, _sentence(audit, form.mirrored, form.action, moved, other))
    mixed = {n: other[n] if turned.get(n) and not plain.get(n) else word for n, word in words.items()}
    text = _sentence(audit, form.mirrored, form.action, moved, mixed)
    return text if _holds(audit, text, mixed) else ""


def _outputs(audit: Audit, chosen: Span, algebra: Known) -> dict[str, str]:
    """The action of each output whose matrices are those of a known one, else `ignore`."""
    linear = algebra.matrices[:, :-1, :-1]
    limit = max(1e-6, 5 * chosen.tolerance)
    words = {}
    for name in output_names(audit):
        x = chosen.outputs.get(name)
        if x is None and name not in chosen.still:
            words[name] = "ignore"
        elif x is None or not x.abs().max() > limit:
            words[name] = "invariant"
        elif len(x) == 1 and algebra.name == "scalings":
            words[name] = _degree(x[0], limit)
        else:
            words[name] = next((w for w, y in (("vector", linear), ("covector", -linear.mT)) if _same(x, y, limit)), "")
        words[name] = words[name] or "ignore"
    return words


def _degree(x: Tensor, limit: float) -> str:
    """`homogeneous(p)` where a scaling multiplies the output by s^p."""
    power = float(x.trace()) / len(x)
    rounded = round(power, 3) if abs(power - round(power, 3)) <= limit else power
    eye = torch.eye(len(x), dtype=x.dtype)
    return "" if not _same(x, power * eye, limit) else "vector" if rounded == 1 else f"homogeneous({rounded:g})"


def _same(x: Tensor, y: Tensor, limit: float) -> bool:
    return x.shape == y.shape and bool((x - y).abs().max() <= limit)


def _sentence(audit: Audit, group: str, action: str, moved: set[str], words: Mapping[str, str]) -> str:
    samples = audit.evaluator.samples
    inputs = ", ".join(f"{name}={action if name in moved else _still(samples, name)}" for name in samples.tensors)
    return f"{group}: {inputs} -> {', '.join(f'{name}={word}' for name, word in words.items())}"


def _still(samples: Samples, name: str) -> str:
    if name == samples.owner_name:
        return "owner"
    return "edges" if samples.owner_name is not None and samples.kinds[name] == "edge_index" else "scalar"


def _verdicts(audit: Audit, text: str) -> dict[str, bool]:
    """Which outputs the claim holds for; none where it cannot be measured."""
    try:
        pieces = audit.measure(Claim.parse(text))
    except SymcheckError:
        return {}
    held: dict[str, bool] = {}
    for piece in pieces:
        name = piece.finding.output
        held[name] = held.get(name, True) and Verdict(piece.finding.verdict).holds
    return held


def _holds(audit: Audit, text: str, words: Mapping[str, str]) -> bool:
    held = _verdicts(audit, text)
    return bool(held) and all(held.get(name, False) for name, word in words.items() if word != "ignore")
