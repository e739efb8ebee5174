"""What a newcomer reads of a location: causes that hold, columns that agree, words with units, notes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from planted_weights import draws, generic
from rich.console import Console
from torch import Tensor, nn
from typer.testing import CliRunner

from symcheck.cli.group_text import show_group
from symcheck.cli.locate_parts_text import cancelling, show_certificates
from symcheck.cli.locate_text import show
from symcheck.cli.main import app
from symcheck.errors import ClaimError, DataError
from symcheck.intertwiners.result import Certificate, Certified, LayerRow
from symcheck.locate.locate import How, locate
from symcheck.locate.result import Located
from symcheck.locate.subgroups.result import Along, Element, GroupPart, Lattice, Node, Spectrum
from symcheck.report.model import Verdict
from symcheck.report.page import Page
from symcheck.subject import as_subject

CLOUD = draws(1, 8, 5, 3)


def found_in(model: nn.Module, claim: str, x: Tensor | Mapping[str, Tensor], *parts: str, **more: object) -> Located:
    subject = replace(as_subject(model), **more)  # type: ignore[arg-type]
    return locate(subject, claim, x, How(parts=parts or ("layers",)))


def said(found: Located, *, details: bool = False, width: int = 100) -> str:
    out = io.StringIO()
    show(found, Console(file=out, width=width, no_color=True), details=details)
    return " ".join(out.getvalue().split())


class Channels(nn.Module):
    """Mixes vector channels, (n, c, 3), with a bias on the components; then invariants."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.mix, self.read = nn.Linear(2, 4, bias=bias), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.mix(x.transpose(1, 2)).square().sum(1))


def test_a_linear_layer_on_coordinates_is_not_cured_by_its_bias() -> None:
    for bias in (True, False):
        mlp = nn.Sequential(nn.Linear(4, 16, bias=bias), nn.Tanh(), nn.Linear(16, 3, bias=bias))
        found = found_in(generic(mlp, 3), "SO(4): vector -> invariant", draws(2, 32, 4)).attribution
        assert found is not None and found.cause == "unsymmetrised_weight" and found.operations[0].path == "0"
        assert "an ordinary linear layer" in found.sentence and "zero" not in found.sentence


def test_a_bias_on_vectors_is_blamed_where_the_weights_commute() -> None:
    broken = found_in(generic(Channels(True), 4), "SO(3): vector -> invariant", draws(2, 32, 2, 3)).attribution
    sound = found_in(generic(Channels(False), 4), "SO(3): vector -> invariant", draws(2, 32, 2, 3)).attribution
    assert broken is not None and broken.cause == "bias_on_vectors" and broken.operations[0].path == "mix"
    assert sound is not None and not sound.operations


class Potential(nn.Module):
    """Energies with an axis of their own; forces by autograd inside the forward where `forces`."""

    def __init__(self, forces: bool) -> None:
        super().__init__()
        self.forces, self.one, self.two = forces, nn.Linear(1, 8), nn.Linear(8, 1)
        self.register_buffer("axis", torch.tensor([1.0, 0.5, -0.3]))

    def energy(self, pos: Tensor) -> Tensor:
        centred = pos - pos.mean(1, keepdim=True)
        squares = centred.square().sum(-1, keepdim=True)
        squares = squares + 0.1 * (centred * self.axis).sum(-1, keepdim=True).square()
        return self.two(torch.tanh(self.one(squares))).sum((1, 2))

    def forward(self, pos: Tensor) -> dict[str, Tensor]:
        if not self.forces:
            return {"energy": self.energy(pos)}
        with torch.enable_grad():
            pos = pos.detach().requires_grad_(True)
            energy = self.energy(pos)
            (gradient,) = torch.autograd.grad(energy.sum(), pos)
        return {"energy": energy.detach(), "forces": -gradient}


@pytest.mark.parametrize("inside", [True, False])
def test_of_forces_it_is_said_that_they_are_a_gradient(inside: bool) -> None:
    more = {} if inside else {"derive": {"forces": "-d(energy)/d(pos)"}}
    model = generic(Potential(inside), 8)
    claim = "SO(3): pos=points -> energy=scalar, forces=vector"
    found = found_in(model, claim, {"pos": CLOUD}, "layers", **more)
    words = said(found)
    assert "of energy" in words and "of forces" in words and "share " not in words.partition("cause")[0].split("own")[1]
    assert "'forces' is the gradient of 'energy'" in words and "--output energy" in words
    alone = found_in(generic(Potential(False), 8), "SO(3): pos=points -> energy=scalar", {"pos": CLOUD})
    assert "gradient" not in said(alone)


def test_the_table_has_one_share_for_each_output() -> None:
    found = found_in(generic(Potential(True), 8), "SO(3): pos=points -> energy=scalar, forces=vector", {"pos": CLOUD})
    assert found.attribution is not None
    words = said(found)
    for row in found.attribution.operations[:8]:
        shares = [f"{round(100 * share, 1) + 0.0:.1f} %" for share in row.share.values()]
        assert " ".join(shares) in words
    assert "-0.0 %" not in words and "symcheck explain attribution" in words


def test_terms_that_cancel_are_told() -> None:
    assert "133 %" in cancelling([1.165, -0.165])
    assert "12 times" in cancelling([0.57, 0.43], 12.0) and cancelling([0.57, 0.43], 1.5) == ""
    assert cancelling([0.6, 0.4]) == "" and cancelling([1.04, -0.04]) == "" and cancelling([]) == ""


def test_what_a_group_of_operations_does_is_not_told_of_its_first() -> None:
    mlp = generic(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)), 3)
    found = found_in(mlp, "SO(3): vector -> vector", draws(2, 32, 3), "lie").lie
    assert found is not None and found.layers is not None
    grouped = [term for term in found.layers.terms if term.group]
    assert grouped and all(not term.action for term in grouped)
    sound = found_in(generic(Channels(True), 4), "SO(3): vector -> invariant", draws(2, 32, 2, 3), "lie").lie
    assert sound is not None and sound.layers is not None
    assert any(term.action for term in sound.layers.terms)


def test_aliasing_is_for_images_and_says_so() -> None:
    x = draws(2, 16, 3)
    with pytest.raises(ClaimError, match="images alone"):
        found_in(generic(nn.Linear(3, 3), 1), "SO(3): vector -> vector", x, "aliasing")
    found = found_in(generic(nn.Linear(3, 3), 1), "SO(3): vector -> vector", x, "layers", "aliasing")
    assert found.aliasing is None and any(note.startswith("aliasing: ") for note in found.notes)


def test_a_function_has_no_layers_and_says_so() -> None:
    found = locate(lambda x: x.tanh(), "SO(3): vector -> vector", draws(2, 16, 3), How(parts=("certificates",)))
    assert found.certificates is None and "no layers can be certified" in " ".join(found.notes)


@pytest.mark.parametrize("mode", ["circular", "reflect"])
def test_a_layer_that_pads_first_is_certified(mode: str) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode=mode), nn.Tanh(), nn.Conv2d(4, 4, 3, padding=1, padding_mode=mode)
    )
    with torch.no_grad():
        generic(net, 5)
        for part in (net[0], net[2]):
            part.weight.copy_(sum(torch.rot90(part.weight, k, (2, 3)) for k in range(4)))  # type: ignore[arg-type]
    found = found_in(net, "C4: image -> image", draws(3, 8, 1, 8, 8), "certificates").certificates
    assert found is not None
    assert {row.layer for row in found.rows if row.verdict is Certified.EXACT} == {"0.weight", "2.weight"}
    generic(net, 6)
    with torch.no_grad():
        net[0].weight.copy_(sum(torch.rot90(net[0].weight, k, (2, 3)) for k in range(4)))  # type: ignore[arg-type]
    found = found_in(net, "C4: image -> image", draws(3, 8, 1, 8, 8), "certificates").certificates
    assert found is not None and [row.layer for row in found.broken()] == ["2.weight"]


def test_convolutions_under_shifts_say_what_is_not_covered() -> None:
    net = generic(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")), 5)
    words = said(found_in(net, "Shift: image -> image", draws(3, 8, 1, 8, 8), "certificates"))
    assert "1 of 1 rows are not certified: the certificate does not cover the shifts of Shift" in words


def test_rows_that_are_cut_are_counted() -> None:
    rows = [LayerRow(f"l{i}", "Linear", "vector", "vector", Certified.EXACT, "") for i in range(15)]
    unknown = LayerRow("u", "Linear", "?", "?", Certified.UNKNOWN, "there is no rule for Odd")
    out = io.StringIO()
    page = Page(Console(file=out, width=90, no_color=True))
    show_certificates(page, Certificate("SO(3)", (*rows, unknown)), details=False)
    text = " ".join(out.getvalue().split())
    assert "and 3 more exact" in text and "1 of 16 rows are not certified: there is no rule for Odd" in text
    assert "does not act there" not in text
    show_certificates(page, Certificate("SO(3)", (replace(rows[0], verdict=Certified.TRIVIAL),)), details=False)
    assert "does not act there" in out.getvalue()


def _node(name: str, order: int | None, where: str) -> Node:
    return Node(name, "", order, where, 1, Verdict.BROKEN, 0.35, 1e-9, "", 0.84, 4)


def test_the_group_in_words() -> None:
    where = "turns and reversals of the slots as they stand"
    lattice = Lattice("y", (_node("C6", 6, where), _node("S(6)", 720, "")), (), (), (0,), (1,))
    spectrum = Spectrum("y", "", "frequency", ("6", "12"), (0.5, 7.2e-7), (1e-9, 1e-9), 0.5, 0.0, 6, "C6 is left")
    curves = (
        Along("y", "rotation", (0.1, 0.2), (0.1, 0.2), 6.28, 0.032),
        Along("y", "translation along x", (0.1, 0.2), (0.1, 0.2), None, 0.5),
    )
    part = GroupPart("S: nodes -> invariant", "S(6)", (lattice,), (spectrum,), curves, (Element("y", "(0 1)", 0.35),))
    out = io.StringIO()
    show_group(Page(Console(file=out, width=100, no_color=True)), part)
    lines = out.getvalue().splitlines()
    text = " ".join(out.getvalue().split())
    assert "turns and reversals of the" in text and any(line.strip() == "they stand" for line in lines)
    assert "…" not in text and max(map(len, lines)) <= 100
    assert "m = 6: 100 %, m = 12: 1.4e-06; C6 is left" in text
    assert "up to 0.032 rad" in text and "up to 0.50 units of length" in text
    assert "worst pair" in text and "mean of each over the samples" in text


def test_a_claim_that_names_what_there_are_no_data_for() -> None:
    with pytest.raises(DataError) as raised:
        found_in(generic(Potential(False), 8), "SO(3): pos=points, z=scalar -> energy=scalar", {"pos": CLOUD})
    assert "-i 'z=integers(3,5)'" in str(raised.value)


CLAIM = ("-c", "C4: image -> invariant")
FIXTURE = str(Path(__file__).parents[2] / "fixtures" / "digits-cnn.toml")


def test_a_refused_file_does_not_keep_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from symcheck.cli import locate_run

    first, last = tmp_path / "a.png", tmp_path / "b.json"
    written = locate_run.write_report

    def refuse(plain: object, path: Path) -> None:
        if path == first:
            raise ClaimError("no room", where=str(path), hint="make some")
        written(plain, path)  # type: ignore[arg-type]

    monkeypatch.setattr(locate_run, "write_report", refuse)
    words = ("locate", FIXTURE, "-q", "--samples", "8", "--pairs", "5", "--part", "layers", *CLAIM)
    found = CliRunner().invoke(app, [*words, "-o", str(first), "-o", str(last)])
    assert found.exit_code != 0 and "no room" in str(found.exception)
    assert json.loads(last.read_text())["schema"] == "symcheck.locate/1"


def test_a_figure_of_parts_that_have_none_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    words = ("locate", FIXTURE, "-q", *CLAIM, "--part", "numerics", "-o", str(tmp_path / "a.png"))
    found = CliRunner().invoke(app, [*words])
    assert found.exit_code != 0 and "nothing to draw of numerics" in str(found.exception)


def test_a_healthy_network_is_drawn_as_a_sentence(tmp_path: Path) -> None:
    from symcheck.report.write import write_report

    found = found_in(generic(Channels(False), 4), "SO(3): vector -> invariant", draws(2, 32, 2, 3))
    write_report(json.loads(found.to_json()), tmp_path / "healthy.svg")
    assert "nothing but rounding" in (tmp_path / "healthy.svg").read_text()
