from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

import planted_models as nets
import torch
from planted_parts import Averaged, broken, held, part_of, points, session_of, turns
from rich.console import Console
from torch import Tensor

from symcheck.claim import Claim
from symcheck.cli.group_text import show_group
from symcheck.measure.plan import parts_of
from symcheck.report.page import Page


def labelled() -> Callable[[Tensor], Tensor]:
    """The larger of two outputs, each about as often, of a network with quarter turns."""
    net = Averaged(turns(4), 4)
    middle = net(2 * points(2, count=200)).mean(0)
    return lambda x: (net(2 * x) - middle).argmax(-1)


def test_labels_have_a_lattice_too() -> None:
    part = part_of(labelled(), "D4: points -> scalar", points(2, count=60))
    assert {name for name, _ in held(part)} == {"C4"} and broken(part) == {"D1"}
    assert not part.spectra and any("no spectrum of output" in note for note in part.notes)


def test_packed_graphs() -> None:
    net, owner = nets.Gated(), torch.arange(6).repeat_interleave(4)

    def packed(pos: Tensor, batch: Tensor) -> Tensor:
        out: Tensor = net(pos.view(-1, 4, 3)).flatten(0, 1)
        tilt = torch.tensor([0.0, 0.0, 1.0], dtype=pos.dtype)
        return out + 0.1 * torch.sin(pos @ tilt)[:, None] * tilt

    x = {"pos": points(3, 4, 6).flatten(0, 1), "batch": owner}
    part = part_of(packed, "SO(3): pos=points, batch=owner -> vector", x)
    assert held(part) == {("D∞", "exact")}


def test_shared_elements_run_once() -> None:
    audit_part = part_of(Averaged(turns(4), 4), "D4: points -> scalar", points(2))
    # f(x), seven elements, two probes of each precision, spectra and generators: not ten subgroups times their orders
    assert audit_part.forwards < 60 * 10


def test_parents_are_larger() -> None:
    part = part_of(Averaged(turns(4), 4), "D4: points -> scalar", points(2))
    nodes = part.lattice("output").nodes
    for node in nodes:
        assert all((nodes[j].order or 0) > (node.order or 0) for j in node.parents)
    assert nodes[-1].parents == () and all(node.parents for node in nodes[:-1])


def test_the_document_and_the_page() -> None:
    part = part_of(Averaged(turns(4), 4), "D4: points -> scalar", points(2))
    plain = json.loads(json.dumps(part.to_dict(), allow_nan=False))
    assert plain["lattices"][0]["sentence"] == part.lattice("output").sentence
    out = StringIO()
    show_group(Page(Console(file=out, width=100)), part)
    shown = out.getvalue()
    assert "holds: C4 (exact)" in shown and "D1 (mirror)" in shown and "worst elements" in shown




def test_judged_parts_share_their_elements_and_agree_with_the_audit() -> None:
    text, x = "D4: points -> scalar", points(2)
    with session_of(Averaged(turns(4), 4), text, x) as session:
        claim, done = Claim.parse(text), [0]

        def tell(pairs: int) -> None:
            done[0] += pairs

        session.evaluator.progress = tell
        bound, _, outputs = session.bound(claim)
        g = bound.group.elements()
        assert g is not None
        chosen = [parts_of(bound, outputs, some, True, "")[0] for some in (g[1:4], g[1:3], g[4:], g[4:6])]
        judged = [one["output"] for one in session.judge(claim, chosen)]
        assert done[0] == len(x) + 7 * len(x)  # f(x), and every element once
        assert [str(one.verdict) for one in judged] == ["exact", "exact", "broken", "broken"]
        measured = {piece.finding.part: piece.finding for piece in session.measure(claim)}
        for part, one in (("proper", judged[0]), ("improper", judged[2])):
            mine, theirs = one.error, measured[part].error
            assert mine is not None and theirs is not None
            assert abs(mine.absolute.mean - theirs.absolute.mean) <= 1e-6 * theirs.absolute.mean + 1e-9


def test_what_is_open_is_said() -> None:
    image = torch.randn(6, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    sentence = part_of(nets.Conv(turned=True), "SO(2): image -> image", image).lattice("output").sentence
    assert sentence == "holds: C4 (exact); not decided: SO(2) (inconclusive)"
    transposed = f"SO(3): {nets.__file__}:transposed -> vector"
    wrong = part_of(nets.Gated(), transposed, points(3)).lattice("output").sentence
    assert wrong == "holds: nothing but the identity; not decided: SO(3) (invalid)"
