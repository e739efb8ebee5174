"""Documents of symcheck locate and symcheck discover with everything that they can hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from reports import finding

from symcheck.discover.discrete_result import (
    Candidate,
    DataGenerator,
    DataSymmetry,
    Discrete,
    Extent,
    FiniteGroup,
    OutputAction,
    Profile,
    ProfileRow,
    Representations,
    Tried,
    TwoSample,
)
from symcheck.discover.result import (
    Algebra,
    Continuous,
    Direction,
    Discovery,
    Generator,
    Motion,
    Motions,
    Named,
    PreservedForm,
    Verified,
)
from symcheck.intertwiners.result import Certificate, Certified, LayerRow
from symcheck.locate.aliasing_result import Aliasing, Control, Phase, Phases, Size
from symcheck.locate.lie_result import LieLayers, LieTerm
from symcheck.locate.numerics_result import Cell, Numbers, Numerics
from symcheck.locate.result import Attribution, Infinitesimal, Layer, Located, Module, Operation
from symcheck.locate.subgroups.result import Along, Element, GroupPart, Lattice, Node, Spectrum
from symcheck.measure.lie_result import FlowError, LieDerivative
from symcheck.report.model import Verdict

CLAIM = "C4: image -> logits=invariant, mask=image"
ENVIRONMENT = {"dtype": "float64", "device": "cpu"}
SUBJECT = {"name": "net", "path": "net.safetensors", "model": "nets.py:cnn"}


def located(**changes: Any) -> dict[str, Any]:
    """A document with every part, as it is read back from its file."""
    parts: dict[str, Any] = {
        "attribution": _attribution(), "group": _group(), "lie": _lie(), "certificates": _certificates(),
        "aliasing": _aliasing(), "numerics": _numerics(), "notes": ("a note of the location",),
    }  # fmt: skip
    settings = {"samples": 16, "elements": 32, "seed": 3, "tolerance": 1e-3, "parts": ["layers", "group"],
                "hidden": {"blocks.0": "image"}, "inputs": "x.npz"}  # fmt: skip
    both = tuple(finding(verdict, error, claim=CLAIM, output=output) for verdict, error, output in (
        (Verdict.BROKEN, 0.4, "logits"), (Verdict.EXACT, 3e-7, "mask")))  # fmt: skip
    found = Located(CLAIM, both, SUBJECT, settings, ENVIRONMENT, **{**parts, **changes}, seconds=2.5, forwards=120)
    return _read_back(found.to_json())


def discovered(**changes: Any) -> dict[str, Any]:
    """A document with every part, as it is read back from its file."""
    parts: dict[str, Any] = {
        "continuous": _continuous(), "discrete": _discrete(), "representations": _representations(),
        "data": {"x": _data()}, "profile": _profile(), "claims": ("SO(3): x=vector -> y=invariant",),
        "motions": (Motions("image", "first order", (Motion({"shift": 0.9}, Direction(0.02, 1e-9, 0.02, "near")),)),),
        "notes": ("a note of the discovery",),
    }  # fmt: skip
    settings = {"samples": 64, "seed": 5, "under": ["SO(3): x=vector"], "inputs": ["x"], "source of inputs": "x.npz"}
    found = Discovery(SUBJECT, settings, ENVIRONMENT, **{**parts, **changes}, seconds=4.0, forwards=99)
    return _read_back(found.to_json())


def _read_back(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(text)
    return data


def _attribution() -> Attribution:
    modules = tuple(
        Module(path, kind, {"logits": abs(share), "mask": 0.1}, {"logits": share, "mask": 0.5 - share}, None, 1, 0.9)
        for path, kind, share in (("head", "Linear", 1.3), ("stem", "Conv2d", -0.3))
    )
    operations = (
        Operation("head", "Linear", "linear", "nets.py:12", "", "unknown", None, {"logits": 0.4}, {"logits": 1.3},
                  ("head: linear", "head: relu")),
        Operation("stem", "Conv2d", "conv2d", "nets.py:7", "image", "assumed", 0.25, {"logits": 0.1}, {"logits": -0.3}),
    )  # fmt: skip
    layers = tuple(Layer(o.path, o.function, o.line, o.action, o.how, o.local) for o in operations)
    return Attribution(CLAIM, {"logits": 0.4, "mask": 0.1}, modules, operations, layers, 1e-15, 61, 1, 5, "flatten",
                       "weights that depend on the position", ("a note of the layers",))  # fmt: skip


def _group() -> GroupPart:
    def node(name: str, order: int | None, verdict: Verdict, error: float | None, *parents: int) -> Node:
        return Node(name, "", order, "about z", 2 if name == "C2" else 1, verdict, error, 1e-7, "turn 1", error, 3, "",
                    parents)  # fmt: skip

    nodes = (node("C2", 2, Verdict.EXACT, 1e-7, 2), node("Cs", 2, Verdict.BROKEN, 0.3, 2),
             node("C4", 4, Verdict.BROKEN, 0.5))  # fmt: skip
    spectrum = Spectrum("logits", "C4", "frequency", ("0", "1", "2"), (0.6, 0.3, 0.0), (0.0, 1e-9, 1e-9), 0.9, 0.0, 2,
                        "even turns are left alone", "a remark")  # fmt: skip
    along = Along("logits", "rotation", (0.5, 1.0, 1.5), (0.1, 0.4, 0.2), 6.28, 0.25)
    return GroupPart(CLAIM, "C4", (Lattice("logits", nodes, (0,), (0,), (1,), (2,)),), (spectrum,), (along,),
                     (Element("logits", "turn 1", 0.5), Element("logits", "turn 3", 0.4)), ("a note of the group",))


def _lie() -> Infinitesimal:
    flows = (FlowError("rotation about z", 0.4, 0.01, 2.0, "spread", "forward mode"),)
    terms = (LieTerm("stem", "conv2d", "nets.py:7", "image", 0.1, {"logits": 0.3}, {"logits": 0.8}),
             LieTerm("", "", "", "", None, {"logits": 0.1}, {"logits": 0.2}))  # fmt: skip
    layers = LieLayers(CLAIM, ("z",), terms, {"logits": {"stem": 0.3}}, {"logits": 0.4}, {"logits": 1e-16}, 16, 2)
    return Infinitesimal((LieDerivative(CLAIM, "logits", flows, 1.0, 16, 32, "float64"),), layers)


def _certificates() -> Certificate:
    rows = (LayerRow("stem.bias", "Conv2d", "1", "image", Certified.TRIVIAL, "", 0.0, 4, 4),
            LayerRow("stem.weight", "Conv2d", "image", "image", Certified.BROKEN, "the weight leaves them", 0.8, 9, 3),
            LayerRow("head.weight", "Linear", "?", "?", Certified.UNKNOWN, "no action"))  # fmt: skip
    return Certificate("C4", rows)


def _aliasing() -> Aliasing:
    phases = tuple(Phase((i, 0), 0.1 * i, Verdict.BROKEN if i else Verdict.EXACT) for i in range(2))
    return Aliasing(CLAIM, (Control("logits", 0.3, 0.1, 0.28, 0.2, 0.3, 1e-7, 0.01, 8, 4),),
                    (Phases("logits", phases, (2, 2), False, phases),),
                    (Size((12, 12), "logits", 0.2, Verdict.BROKEN), Size((11, 11), "", None, None, "it takes none")))


def _numerics() -> Numerics:
    def cell(precision: str, engine: str, error: float, high: float) -> Cell:
        return Cell(precision, engine, 64, {"logits": Numbers(error, error, high, 1e-7, Verdict.APPROXIMATE)})

    cells = (cell("float16", "eager", 0.01, 0.02), cell("float32", "eager", 1e-5, 2e-5),
             Cell("tf32", "eager", 64, {}, "not measured: the device has no TF32"))  # fmt: skip
    return Numerics(CLAIM, "", 1e-3, cells, {}, {})


def _continuous() -> Continuous:
    spectrum = (Direction(1e-16, 1e-14, 1e-16, "exact"), Direction(0.01, 1e-9, 0.01, "near"),
                Direction(0.9, 1e-7, 1.0, "other"))  # fmt: skip
    turn = Generator("rotation about z", {"x": ((0.0, -1.0), (1.0, 0.0))}, {})
    form = PreservedForm("x", "symmetric", 1, ((1.0, 0.0), (0.0, 1.0)), (2, 0))
    algebra = Algebra("so(2)", True, 1, 1e-15, True, (0, 0, 1), 1, (1, 0), 1, {"x": "so(2)"}, (form,),
                      (Named("so(2)", 1, (1.0,), True),), (turn,))  # fmt: skip
    audited = Verified("exact directions", "y", "exact", 2e-7, 1e-15, 1e-3, 32, 43, 1e-13)
    return Continuous("exact", 1, 1, (1, 2), 1e12, 4, 200, spectrum, algebra, "iso(2)", (audited,), "forward mode",
                      ("x",), {"y": "invariant"}, {"x": "skew"}, ("a note of the search",))  # fmt: skip


def _discrete() -> Discrete:
    group = FiniteGroup("x", "y", "Perm(3,(0 1))", "S3", 6, ("(0 1)",), "invariant", "S: x=nodes -> y=invariant",
                        "exact", 1e-7, None, 1e-6, 1e-3, 6)  # fmt: skip
    return Discrete((group,), (Tried("(0 1)", "exchange", "x", "y", "invariant", 0.01, "approximate"),))


def _representations() -> Representations:
    one = OutputAction("SO(3)", "x=vector", "y", "action", 64, 32, "invariant", 40.0,
                       (Candidate("invariant", 1e-7, 0), Candidate("vector", 0.8, 0)), 1, 1e-7, 1e-8, 1e-8, 0.9, "1x0e")
    return Representations((one,))


def _data() -> DataSymmetry:
    test = TwoSample("rotation", "alike", 0.4, 0.001, 0.05, 10, 500)
    return DataSymmetry((DataGenerator(((0.0, -1.0), (1.0, 0.0)), "", test),), 3, ("a note of the data",))


def _profile() -> Profile:
    test = TwoSample("rotation", "differ", 0.001, 0.001, 0.05, 10, 500)
    row = ProfileRow("SO(3): x=vector -> y=invariant", "found", "exact", 1e-7, test, 0.9, 0.95, {"stem": 0.1},
                     (Extent("rotation", "y", 3.14, {"median": 0.5}),), "the network has it, the data have not")
    return Profile((row,))


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value, of lists the first two."""
    if path:
        yield path
    items = data.items() if isinstance(data, dict) else enumerate(data[:2]) if isinstance(data, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def replaced(data: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy with another value there; without it where the value is `...`."""
    made = copy.deepcopy(data)
    inner: Any = made
    for step in path[:-1]:
        inner = inner[step]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return made
