"""What an attribution doubts: readings that make shares cross, readings that cost too much, errors that do not show."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
import torch
from planted_weights import draws, generic
from rich.console import Console
from torch import Tensor, nn

from symcheck.cli.locate_text import show
from symcheck.locate import attribution, undecided
from symcheck.locate.actions import Hidden
from symcheck.locate.causes import Cause
from symcheck.locate.hybrids import Chart, Course, Swept
from symcheck.locate.locate import How, locate
from symcheck.locate.subgroups.spectrum_words import read_frequencies
from symcheck.locate.terms import END, Attributed

IMAGES = draws(3, 8, 1, 9, 9)
SHIFT = "Shift: image -> invariant"


class Faulty(nn.Module):
    """Three convolutions around the border, and a small ramp after the second."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(i, 4, 3, padding=1, padding_mode="circular") for i in (1, 4, 4)
        )
        self.register_buffer("ramp", 0.0004 * torch.arange(9.0))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.b(torch.tanh(self.a(x)))) + self.ramp
        return torch.tanh(self.c(h))


def _planted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on the first convolution is read as standing still, until that reading is given up."""
    swept, places = attribution.sweep, list[int]()

    def wrong(course: Course, chart: Chart, hidden: Mapping[str, str], eps: float) -> Swept:
        stations = course.recording.stations
        place = next(p for p, one in stations.items() if one.path == "a" and one.function == "conv2d")
        if place not in chart:
            chart[place] = (Hidden((), source="assumed"),)
            places.append(place)
        return swept(course, chart, hidden, eps)

    monkeypatch.setattr(attribution, "sweep", wrong)
    return places


def test_a_reading_that_makes_shares_cross_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    model = generic(Faulty(), 6)
    with torch.no_grad():
        model.get_buffer("ramp").copy_(0.0004 * torch.arange(9.0))
    planted = _planted(monkeypatch)
    found = locate(model, "Shift: image -> image", IMAGES, How(parts=("layers",))).attribution
    assert planted and found is not None and found.closure < 1e-9
    first = next(row for row in found.layers if row.path == "a" and row.function == "conv2d")
    assert first.how == "unknown"
    assert sum(abs(row.share["output"]) for row in found.operations) < 3
    assert found.cause == "position_added"
    monkeypatch.setattr(attribution, "_DROPPED", 0)
    kept = locate(model, "Shift: image -> image", IMAGES, How(parts=("layers",))).attribution
    assert kept is not None and sum(abs(row.share["output"]) for row in kept.operations) > 3


class Zeros(nn.Module):
    """One convolution with zeros beyond the border among others."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.b(torch.tanh(self.a(x)))).square().mean((2, 3))


def test_only_so_many_readings_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    model = generic(Zeros(), 7)
    found = locate(model, SHIFT, IMAGES, How(parts=("layers",))).attribution
    assert found is not None and "assumed" in {row.how for row in found.layers}
    monkeypatch.setattr(undecided, "_TRIES", 0)
    less = locate(model, SHIFT, IMAGES, How(parts=("layers",))).attribution
    assert less is not None and "assumed" not in {row.how for row in less.layers}
    assert less.closure < 1e-9 and less.unknown > found.unknown and less.runs <= found.runs


class Rare(nn.Module):
    """The first pixel counts where the image has a bright one."""

    def forward(self, x: Tensor) -> Tensor:
        bright = (x.amax((2, 3)) > 50).to(x)
        return torch.tanh(x).mean((2, 3)) + bright * x[:, :, 0, 0]


def test_an_error_of_few_samples_does_not_show_on_few_pairs() -> None:
    x = draws(4, 16, 1, 6, 6)
    x[1:, 0, 0, 0] = 60.0  # two pairs are of the first sample
    few = locate(Rare(), SHIFT, x, How(parts=("layers",), pairs=2))
    assert any("does not show on these pairs" in note for note in few.notes)
    many = locate(Rare(), SHIFT, x, How(parts=("layers",)))
    assert not any("does not show" in note for note in many.notes)


def test_in_bfloat16_rounding_is_to_blame_and_not_the_pairs() -> None:
    found = locate(generic(Faulty(), 6).bfloat16(), SHIFT, IMAGES, How(parts=("layers",), dtype="bfloat16"))
    assert not any("--pairs" in note for note in found.notes)
    assert any("rounding in bfloat16" in note for note in found.notes)


def test_a_term_is_told_of_its_culprit() -> None:
    course: Course = None  # type: ignore[assignment]
    found = Attributed(course, {}, Swept(), {}, {}, {7: (1, 2, 3), END: ()}, 3, ())
    assert found.culprit(7) == 1 and found.culprit(5) == 5 and found.culprit(END) == END
    found.blamed[7] = (2, Cause("position_added", "…"))
    assert found.culprit(7) == 2
    found.blamed[7] = (2, Cause("unknown", "…"))
    assert found.culprit(7) == 1


def test_a_row_names_its_culprit_and_the_end_of_its_group() -> None:
    mlp = generic(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), 3)
    found = locate(mlp, "SO(4): vector -> invariant", draws(2, 32, 4), How(parts=("layers",)))
    out = io.StringIO()
    show(found, Console(file=out, width=120, no_color=True))
    assert "0: linear … linear" in out.getvalue() and "at the outputs: outputs" not in out.getvalue()


class Tied(nn.Module):
    """The slots in two triples, which may change places each among themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.read = nn.Linear(2, 8), nn.Linear(2, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.one(x[:, :3])).sum(1) + torch.tanh(self.two(x[:, 3:])).sum(1))


def test_a_product_of_blocks_has_its_order() -> None:
    part = locate(generic(Tied(), 9), "S: nodes -> invariant", draws(6, 16, 6, 2), How(parts=("group",))).group
    assert part is not None
    orders = {node.name.partition(" on")[0]: node.order for node in part.lattices[0].nodes}
    assert orders["S(3) x S(3)"] == 36 and orders["A(3) x A(3)"] == 9
    whole = next(node for node in part.lattices[0].nodes if node.name.startswith("S(3) x"))
    assert whole.elements == 35 and whole.verdict.holds


def test_a_lattice_is_for_images() -> None:
    powers = torch.zeros(48).double().numpy()
    powers[3::4] = 1.0
    assert "lattice" not in read_frequencies(powers, 4, 4, False) and "m = 4k" in read_frequencies(powers, 4, 4, False)
    assert "the pixel grid" in read_frequencies(powers, 4, 4, True)
