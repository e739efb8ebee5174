"""No claim given: propose a battery of claims from what the module states, or else from the shapes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from symcheck.batch import Batch
from symcheck.errors import DataError
from symcheck.measure.asked import asked_of
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.stated import stated_claims
from symcheck.preset import read_preset

Shape = tuple[int, ...]
_TEXT = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
_POSITIONS = ("pos", "positions", "coordinates", "coords", "R")


def family_of(tensors: Mapping[str, Tensor]) -> str:
    """The preset that packed graphs ask for: an owner index beside positions, or beside edges; else none."""
    owned = any(x.dim() == 1 and not x.is_floating_point() and n in ("batch", "owner") for n, x in tensors.items())
    beside = {"potential": any(n in _POSITIONS for n in tensors), "graph": "edge_index" in tensors}
    return next((family for family, there in beside.items() if owned and there), "")


def states(evaluator: Evaluator) -> bool:
    """Whether the module itself states a claim, so that `propose` reads it off."""
    return stated_claims(evaluator.runner.module, evaluator.samples.shapes()) is not None


def propose(evaluator: Evaluator) -> list[str]:
    """Claims worth asking of these inputs: images, point clouds, sets, sequences, texts, graphs."""
    samples = evaluator.samples
    stated = stated_claims(evaluator.runner.module, samples.shapes())
    probe = Batch({n: x[:2] for n, x in samples.tensors.items()}, 2)
    found, hidden = evaluator.runner(probe), evaluator.runner.outputs.offer.free
    outputs = {n: tuple(y.shape[1:]) for n, y in found.items() if n not in hidden}
    if stated is not None:
        return stated(outputs)
    if texts := _texts(evaluator, outputs):
        return texts
    inputs = samples.shapes()
    kinds = {name: _kind(samples.tensors[name]) for name in inputs}
    batteries = {"image": _images, "points": _points, "tokens": _tokens, "graph": _graphs, "rows": _rows}
    lead = next((k for k in batteries if k in kinds.values()), None)
    if lead is None:
        raise DataError(
            "no symmetry can be proposed for these inputs: " + ", ".join(f"{n} {s}" for n, s in inputs.items()),
            where="audit without claims",
            hint="state a claim, e.g. 'O(3): pos=points -> energy=scalar' or 'Sign: vector -> vector'",
        )
    return batteries[lead](inputs, outputs, kinds)


def _texts(evaluator: Evaluator, outputs: Mapping[str, Shape]) -> list[str]:
    """What the preset asks of a network on tokens and their mask: one with logits (T, V), or another; else nothing."""
    tensors, runner = evaluator.samples.tensors, evaluator.runner
    if not {"input_ids", "attention_mask"} <= {*tensors} <= _TEXT:
        return []
    family = "language-model" if len(outputs.get("logits", ())) == 2 else "text-encoder"
    names = runner.names
    try:
        return [*asked_of(read_preset(family)["claims"], runner, tensors).claims.values()]
    except DataError:  # outputs of other names
        return []
    finally:
        runner.names = names


def _kind(x: Tensor) -> str:
    """What one input looks like: image (C, H, W), points (n, 3), graph (n, n), rows (n, d) or (T,), tokens (T,) int."""
    shape = tuple(x.shape[1:])
    if not x.is_floating_point():
        return "tokens" if len(shape) == 1 and shape[0] > 1 else "label"
    if len(shape) == 2 and shape[0] == shape[1] > 3:
        symmetric = bool((x == x.transpose(-1, -2)).all())
        return "graph" if symmetric else "image"
    if len(shape) == 3 and min(shape[-2:]) > 3:
        return "image"
    if len(shape) == 2 and shape[-1] in (2, 3) and shape[0] > 1:
        return "points"
    return "rows" if shape and shape[0] > 1 else "label"


def _sentence(group: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    left = ", ".join(f"{n}={a}" for n, a in inputs.items())
    return f"{group}: {left} -> {', '.join(f'{n}={a}' for n, a in outputs.items())}"


def _images(inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], kinds: Mapping[str, str]) -> list[str]:
    grid = next(s[-2:] for n, s in inputs.items() if kinds[n] == "image")
    moves = {n: "image" if kinds[n] == "image" else "scalar" for n in inputs}
    dense = {n: "image" if len(s) >= 2 and s[-2:] == grid else "invariant" for n, s in outputs.items()}
    groups = ["C4", "D4", "SO(2)"] if grid[0] == grid[1] else ["C2", "D2"]
    return [_sentence(g, moves, dense) for g in [*groups, "Shift(1)", "Shift(2)", "Shift(4)"]]


def _points(inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], kinds: Mapping[str, str]) -> list[str]:
    lead = next(s for n, s in inputs.items() if kinds[n] == "points")
    count, dimension = lead
    vectors = {n: "vector" if s and s[-1] == dimension else "scalar" for n, s in outputs.items()}
    rows = {n: "nodes" if s and s[0] == count else "invariant" for n, s in outputs.items()}
    still = dict.fromkeys(outputs, "invariant")
    points = {n: "points" if kinds[n] == "points" else "scalar" for n in inputs}
    nodes = {n: "nodes" if s and s[0] == count else "scalar" for n, s in inputs.items()}
    sentences = [_sentence(f"O({dimension})", points, vectors)]
    if vectors != still and any(a == "vector" for a in vectors.values()):
        sentences.append(_sentence(f"O({dimension})", points, dict.fromkeys(outputs, "scalar")))
    return [*sentences, _sentence(f"T({dimension})", points, still), _sentence("S", nodes, rows)]


def _tokens(inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], kinds: Mapping[str, str]) -> list[str]:
    length = next(s[0] for n, s in inputs.items() if kinds[n] == "tokens")
    moves = {n: "sequence" if s and s[0] == length else "scalar" for n, s in inputs.items()}
    rows = {n: "sequence" if s and s[0] == length else "invariant" for n, s in outputs.items()}
    return [_sentence(group, moves, rows) for group in ("S", "Shift(1)", "C2")]


def _graphs(inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], kinds: Mapping[str, str]) -> list[str]:
    count = next(s[0] for n, s in inputs.items() if kinds[n] == "graph")
    moves = {
        n: "pairs" if kinds[n] == "graph" else "nodes" if s and s[0] == count else "scalar" for n, s in inputs.items()
    }
    rows = {
        n: "pairs" if s[:2] == (count, count) else "nodes" if s and s[0] == count else "invariant"
        for n, s in outputs.items()
    }
    return [_sentence("S", moves, rows)]


def _rows(inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], kinds: Mapping[str, str]) -> list[str]:
    lead = next(s for n, s in inputs.items() if kinds[n] == "rows")
    same = {n: s == lead for n, s in outputs.items()}
    vectors = {n: "vector" if same[n] else "invariant" for n in outputs}
    signs = [
        _sentence("Sign(1)", {n: "vector" if kinds[n] == "rows" else "scalar" for n in inputs}, a)
        for a in (vectors, dict.fromkeys(outputs, "vector"))
    ]
    rows = {n: "nodes" if s and s[0] == lead[0] else "invariant" for n, s in outputs.items()}
    nodes = {n: "nodes" if kinds[n] == "rows" else "scalar" for n in inputs}
    shift = {n: a.replace("nodes", "sequence") for n, a in nodes.items()}
    shifted = {n: a.replace("nodes", "sequence") for n, a in rows.items()}
    return list(dict.fromkeys([_sentence("S", nodes, rows), _sentence("Shift(1)", shift, shifted), *signs]))
