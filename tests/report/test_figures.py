"""Figures: what is drawn is what was measured, and papers get the same bytes from the same document."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import connection, curve, drawn, drawn_report, gate_report
from reports import report

from symcheck.errors import ConfigError, LoadError
from symcheck.report.html.figures import write_figure
from symcheck.report.html.figures.barrier import barrier_panels
from symcheck.report.html.figures.canvas import PALETTE, Panel, as_svg
from symcheck.report.html.figures.curves import curve_panels
from symcheck.report.html.figures.distribution import distribution_panel
from symcheck.report.html.figures.inline import inlined
from symcheck.report.html.figures.pair import is_cloud, is_image, pair_panels
from symcheck.report.html.gauge import Axis
from symcheck.report.html.pairs import Pair
from symcheck.report.model import Curve, Verdict


def axes_of(panel: Panel) -> Any:
    """The panel on axes that can be asked."""
    from matplotlib.figure import Figure

    axes = Figure().add_subplot(projection=panel.projection)
    panel.draw(axes)
    return axes


def drawn_points(axes: Any, marker: str) -> dict[float, float]:
    """What the lines with this marker hold: across, up."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return {float(x): float(y) for line in lines for x, y in zip(*line.get_data(), strict=True)}


def test_a_polar_plot_has_every_error_at_its_angle_and_starts_at_zero() -> None:
    made = curve("angle")
    axes = axes_of(curve_panels(drawn(curve=made))[0])
    proper = {at[0]: e for at, e in zip(made.at, made.errors, strict=True) if not at[1]}
    mirrored = {at[0]: e for at, e in zip(made.at, made.errors, strict=True) if at[1]}
    assert drawn_points(axes, "o") == pytest.approx(proper)
    assert drawn_points(axes, "s") == pytest.approx(mirrored)
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > max(made.errors)


def test_rotations_lie_in_their_hemisphere_and_at_their_angle() -> None:
    up, down, side = (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, -2.0, 0.0), (3.0, 0.0, 0.0, 0.0)
    made = Curve("rotation", ("up", "down", "side"), (0.1, 0.2, 0.3), (up, down, side))
    sphere, against = curve_panels(drawn(curve=made))
    filled = [line for line in axes_of(sphere).lines if line.get_alpha() is not None]
    places = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in filled]
    assert places == [pytest.approx(at) for at in ((-1.1, 0), (-0.1, 0), (1.1, 0))]  # centres of the discs, and a rim
    assert [line.get_alpha() for line in filled] == pytest.approx([1 / 3, 1, 2 / 3])
    shown = drawn_points(axes_of(against), "o")
    assert shown == pytest.approx({np.degrees(1): 0.1, np.degrees(2): 0.2, np.degrees(3): 0.3})


def test_bars_start_at_zero_and_are_as_long_as_the_errors() -> None:
    axes = axes_of(curve_panels(drawn(curve=curve("listed")))[0])
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([*curve("listed").errors])
    assert axes.get_xlim()[0] == 0


def test_a_long_list_is_shaded_and_its_worst_are_named() -> None:
    made = curve("listed", 48)
    panel = curve_panels(drawn(curve=made))[0]
    axes = axes_of(panel)
    shades = [box.get_alpha() for box in axes.patches if box.get_alpha() is not None]
    top = max(made.errors)
    assert shades == pytest.approx([max(e / top, 0.03) for e in made.errors])
    assert any("element 12" in text.get_text() for text in axes.texts)
    assert "largest at element 12" in panel.words


def test_a_parameter_over_decades_has_a_log_axis_and_a_shift_has_not() -> None:
    scales = Curve("number", ("a", "b", "c"), (0.1, 0.2, 0.3), ((0.01,), (1.0,), (10.0,)))
    for made, kind in ((scales, "log"), (curve("number"), "linear")):
        assert axes_of(curve_panels(drawn(curve=made))[0]).get_xscale() == kind


def test_the_tolerance_is_drawn_where_it_is_in_sight_only() -> None:
    for tolerance, lines in ((0.05, 1), (1e-7, 0), (10.0, 0)):
        axes = axes_of(curve_panels(drawn(curve=curve("number"), tolerance=tolerance))[0])
        level = [line for line in axes.lines if [*line.get_ydata()] == [tolerance, tolerance]]
        assert len(level) == lines


def test_the_distribution_shows_its_quantiles_the_floor_and_the_tolerance() -> None:
    found = drawn()
    panel = distribution_panel(found)
    assert panel is not None
    axes = axes_of(panel)
    data = [line.get_data() for line in axes.lines]
    assert any([*x] == pytest.approx([*found.distribution]) and [*y] == pytest.approx([2.5 * i for i in range(41)])
               for x, y in data if len(x) == 41)
    verticals = [x[0] for x, _ in data if len(x) == 2]
    assert {found.tolerance, found.floor.rounding, found.error.spread.mean} == {*verticals}  # type: ignore[union-attr]
    assert axes.get_xscale() == "log"


def test_errors_of_zero_stand_at_the_left_end_and_their_share_is_named() -> None:
    zeros = (0.0,) * 20 + tuple(1e-4 * 1.2**i for i in range(21))
    panel = distribution_panel(drawn(distribution=zeros))
    assert panel is not None
    axes = axes_of(panel)
    line = next(line for line in axes.lines if len(line.get_xdata()) == 41)
    assert min(line.get_xdata()) == pytest.approx(axes.get_xlim()[0])
    assert any("49 % are zero" in text.get_text() for text in axes.texts)


def test_nothing_is_drawn_of_nothing() -> None:
    nan = float("nan")
    assert distribution_panel(drawn(distribution=())) is None
    assert distribution_panel(drawn(distribution=(nan, nan))) is None
    assert curve_panels(drawn(curve=None)) == []
    assert curve_panels(drawn(curve=Curve("listed", ("a",), (nan,)))) == []


def test_barrier_curves_hold_the_losses_and_mark_the_barrier() -> None:
    data = connection()
    loss, rate, mechanism = barrier_panels(data)
    axes = axes_of(loss)
    naive = data["variants"]["naive"]["curves"]["train"]["loss"]
    assert any([*line.get_ydata()] == naive for line in axes.lines)
    assert (0.5, naive[2]) in {(x[0], y[0]) for x, y in (line.get_data() for line in axes.lines) if len(x) == 1}
    assert (rate.title, mechanism.title) == ("Error rate on train data", "Equivariance: C4: image -> invariant")
    assert "naive: 0.10 to 0.10, at most 1.0" in loss.words


@pytest.mark.parametrize(
    ("shape", "image", "cloud"),
    [((3, 8, 8), True, False), ((1, 4, 4), True, False), ((8, 8), False, False), ((5, 8, 8), False, False),
     ((8, 3), False, True), ((8, 2), False, True), ((10,), False, False), ((3, 3, 3), False, False)],
)  # fmt: skip
def test_what_is_an_image_and_what_are_points(shape: tuple[int, ...], image: bool, cloud: bool) -> None:
    assert (is_image(np.zeros(shape)), is_cloud(np.zeros(shape))) == (image, cloud)


def pair(x: Any, moved: Any, left: Any, right: Any) -> Pair:
    return Pair({"x": x}, {"x": moved}, {"y": left}, {"y": right})


def test_both_sides_of_a_vector_stand_beside_one_another() -> None:
    left, right = np.arange(5.0), -np.arange(5.0)
    panels = pair_panels(pair(np.ones((7,)), np.zeros((7,)), left, right), "y")
    heights = [bar.get_height() for bar in axes_of(panels[-1]).patches]
    assert heights == [*left, *right]
    assert "differ by up to 8.0, where g·f(x) is at most 4.0" in panels[-1].words


def test_images_share_one_scale() -> None:
    dark, light = np.full((1, 6, 6), 0.0), np.full((1, 6, 6), 2.0)
    dark[0, 0, 0] = 1.0
    images = axes_of(pair_panels(pair(dark, light, np.zeros(3), np.ones(3)), "y")[0]).get_images()
    assert [int(image.get_array()[0, 0, 0]) for image in images] == [128, 255]
    assert int(images[0].get_array()[3, 3, 0]) == 0


def test_points_keep_their_distances_and_vectors_their_directions() -> None:
    points = np.random.default_rng(0).normal(size=(6, 3))
    forces = np.eye(6, 3)
    panels = pair_panels(pair(points, points[::-1].copy(), forces, -forces), "y")
    assert len(panels) == 1
    arrows = [c for c in axes_of(panels[0]).collections if "Quiver" in type(c).__name__]
    assert len(arrows) == 2
    assert np.allclose(arrows[0].U, -arrows[1].U)


def test_what_g_does_not_move_is_left_out() -> None:
    image, points = np.random.default_rng(0).random((1, 6, 6)), np.random.default_rng(1).random((5, 3))
    both = Pair({"a": image, "b": points}, {"a": image, "b": points[::-1]}, {"y": np.ones(3)}, {"y": np.zeros(3)})
    assert [panel.title for panel in pair_panels(both, "y")] == ["Worst pair: b", "Worst pair, both sides: y"]


def test_sides_of_different_shapes_are_not_drawn() -> None:
    assert pair_panels(pair(np.ones(3), np.ones(3), np.ones(3), np.ones(4)), "y") == []


def test_an_inline_plot_has_the_colours_of_the_page_and_text_as_text() -> None:
    panel = curve_panels(drawn(curve=curve("angle")))[0]
    svg = inlined(as_svg(panel), "fig9", "<title>", "words & more")
    assert not set(re.findall(r"(?<!,)#[0-9a-f]{6}", svg))  # every colour is a variable with a fallback
    assert f"var(--fig-a,{PALETTE['a']})" in svg
    assert "&lt;title&gt;" in svg
    assert ">135°</text>" in svg
    assert "<style" not in svg
    assert not re.search(r"\d\.\d{3}", svg)
    assert {name.split("-")[0] for name in re.findall(r'id="([^"]+)"', svg)} == {"fig9"}


def test_an_axis_spans_decades_on_a_log_scale_and_keeps_zero_otherwise() -> None:
    wide, near, signed = Axis.over([1e-7, 1e-3, None]), Axis.over([0.5, 1.0]), Axis.over([-0.2, 0.4])
    assert (wide.log, near.log, signed.log) == (True, False, False)
    assert wide.place(1e-5) == pytest.approx(50, abs=1)
    assert wide.place(0.0) == 0
    assert near.place(0.0) == 0
    assert signed.low < -0.2
    assert len(Axis.over([1e-30, 1e3]).ticks()) <= 6
    assert Axis.over([]).place(0.0) == 0


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
@pytest.mark.parametrize("made", [drawn_report, gate_report, lambda _: connection()])
def test_a_paper_gets_the_same_bytes_twice(made: Any, suffix: str, tmp_path: Path) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    document = made(tmp_path)
    write_figure(document, first)
    write_figure(document, second)
    assert first.read_bytes() == second.read_bytes()
    assert not [file for file in tmp_path.iterdir() if file.name.endswith(".tmp")]


def test_a_pdf_embeds_its_fonts_and_an_svg_keeps_its_text(tmp_path: Path) -> None:
    pdf, svg = tmp_path / "a.pdf", tmp_path / "a.svg"
    for path in (pdf, svg):
        write_figure(report(drawn()), path)
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"CreationDate" not in content
    text = svg.read_text()
    assert "Distribution of the error</text>" in text
    assert "dc:date" not in text


def test_a_figure_shows_the_worst_findings(tmp_path: Path) -> None:
    fine = [drawn(Verdict.EXACT, 1e-7, claim=f"fine {i}: x -> x") for i in range(5)]
    write_figure(report(*fine, drawn(claim="bad: x -> x")), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "bad: x -&gt; x" in text
    assert len(re.findall("fine \\d", text)) == 3


def test_a_figure_of_a_path_names_its_ends(tmp_path: Path) -> None:
    write_figure(connection(), tmp_path / "a.svg")
    assert "A is a, B is b</text>" in (tmp_path / "a.svg").read_text()


def test_a_figure_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not written as '\.gif'"):
        write_figure(report(drawn()), tmp_path / "a.gif")
    for empty in (report(), {"schema": "symcheck.align/1"}):
        with pytest.raises(ConfigError, match="nothing to draw"):
            write_figure(empty, tmp_path / "a.pdf")
    with pytest.raises(LoadError, match="cannot be drawn"):
        write_figure({"schema": "symcheck.connect/1", "variants": {}}, tmp_path / "a.pdf")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_figure(report(drawn()), tmp_path / "no folder" / "a.pdf")
    assert [*tmp_path.iterdir()] == []


def test_hostile_names_do_not_stop_a_figure(tmp_path: Path) -> None:
    odd = "$\\frac{x}$ <b> \x00\x1b \udcff \u202e 漢字"
    named = replace(curve("listed"), labels=(odd,) * 12)
    write_figure(report(drawn(claim=odd, output=odd, curve=named)), tmp_path / "a.svg")
    write_figure(report(drawn(claim=odd, output=odd, curve=named)), tmp_path / "a.pdf")
    text = (tmp_path / "a.svg").read_text()
    assert "&lt;b&gt;" in text
    assert not {"\x00", "\x1b", "\u202e"} & {*text}


def test_settings_of_the_user_do_not_change_a_figure(tmp_path: Path) -> None:
    from matplotlib import rc_context, rcParams

    before = dict(rcParams)
    write_figure(report(drawn()), tmp_path / "a.svg")
    assert dict(rcParams) == before
    with rc_context({"font.size": 30, "axes.facecolor": "red", "axes.grid": True}):
        write_figure(report(drawn()), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
