"""The error against the group element: polar for angles, on the sphere of axes for rotations, bars for a list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symcheck.errors import LoadError
from symcheck.report import numbers
from symcheck.report.html.figures.canvas import SMALL, Panel, beside, blank, colour, from_zero, note, plain
from symcheck.report.html.plain import clean, drawable
from symcheck.report.model import Curve, Finding

_MANY = 26  # elements that are listed by name
_ROW = 14  # px of one bar
_LETTERS = 34  # of a label
_SHORT = (("rotation ", ""), ("reflection", "mirror"), ("permutation ", ""), (".0 deg", "°"), (" deg", "°"))
_COORDINATES = {"angle": 2, "rotation": 4, "number": 1}
_STYLES = (("proper", "o", "a"), ("mirrored", "s", "b"))


def curve_panels(finding: Finding) -> list[Panel]:
    """The panels of `finding.curve`; none without a curve, or where no error of it is a number."""
    curve = None if finding.curve is None else _sound(finding.curve)
    if curve is None or not any(map(math.isfinite, curve.errors)):
        return []
    if curve.kind == "angle":
        return [_polar(curve, finding.tolerance)]
    turned = curve.kind == "rotation" and any(_angle(point) > 0 for point in curve.at)
    if turned:
        return [_sphere(curve), _against(curve, finding.tolerance, by_angle=True)]
    if curve.kind == "number":
        return [_against(curve, finding.tolerance, by_angle=False)]
    return [_bars(curve, finding.tolerance) if len(curve.labels) <= _MANY else _cells(curve)]


def _sound(curve: Curve) -> Curve:
    """The curve with numbers that can be drawn; LoadError where its parts do not belong together."""
    count, size = len(curve.errors), _COORDINATES.get(curve.kind, 0)
    placed = len(curve.at) == count and all(len(at) >= size for at in curve.at)
    if len(curve.labels) != count or (not placed and (curve.at or size)):
        raise LoadError(
            f"a curve of kind '{curve.kind}' has {count} errors, {len(curve.labels)} labels, {len(curve.at)} places",
            where="curve",
            hint="write the report again with symcheck audit -o FILE.json",
        )
    at = tuple(tuple(map(drawable, point)) for point in curve.at)
    lost = [any(map(math.isnan, point)) for point in at] or [False] * count
    errors = tuple(math.nan if gone else drawable(e) for gone, e in zip(lost, curve.errors, strict=True))
    return replace(curve, errors=errors, at=at)


def _words(curve: Curve) -> str:
    """The curve for those who cannot see it."""
    known = [(error, label) for error, label in zip(curve.errors, curve.labels, strict=True) if math.isfinite(error)]
    (low, _), (high, worst) = min(known), max(known)
    span = f"from {numbers.ratio(low)} to {numbers.ratio(high)} of the spread, largest at {worst}"
    lost = len(curve.errors) - len(known)
    return f"Mean error under {numbers.count(len(known), 'element')}: {span}." + (
        f" {numbers.count(lost, 'error')} not a number." if lost else ""
    )


def _parts(curve: Curve) -> list[tuple[str, str, str, list[tuple[tuple[float, ...], float]]]]:
    """Proper elements and mirrored ones, each with its name, marker and colour; only those that there are."""
    pairs = [(at, e) for at, e in zip(curve.at, curve.errors, strict=True) if math.isfinite(e)]
    found = [(*style, [(at, e) for at, e in pairs if at[-1] == side]) for side, style in enumerate(_STYLES)]
    return [part for part in found if part[3]]


def _two(parts: Sequence[Any]) -> bool:
    """Whether it must be said which mark means what."""
    return len(parts) > 1 or parts[0][0] == "mirrored"


def _gap(degrees: Sequence[float]) -> float:
    """The direction, between those that are labelled, that is furthest from every point."""
    return max(
        (22.5 + 45 * k for k in range(8)),
        key=lambda way: min(abs((way - at + 180) % 360 - 180) for at in degrees),
    )


def _polar(curve: Curve, tolerance: float) -> Panel:
    """The angle is that of the element, the radius the error, from zero."""
    parts = _parts(curve)

    def draw(axes: Any) -> None:
        for name, marker, tone, points in parts:
            angles, errors = zip(*sorted((at[0], e) for at, e in points), strict=True)
            if len(points) <= 12:
                axes.vlines(angles, 0, errors, color=colour(tone), lw=1.6)
            else:
                axes.plot([*angles, angles[0]], [*errors, errors[0]], color=colour(tone), lw=0.8, alpha=0.5)
            axes.plot(angles, errors, marker, color=colour(tone), ms=5, label=name, clip_on=False)
        from_zero(axes, [e for e in curve.errors if math.isfinite(e)], ticks=3)
        top = axes.get_ylim()[1]
        limited = 0.03 * top < tolerance <= top
        if limited:
            turn = [2 * math.pi * i / 180 for i in range(181)]
            axes.plot(turn, [tolerance] * 181, color=colour("ink"), lw=1, ls=(0, (4, 3)), label="tolerance")
        axes.set_thetagrids(range(0, 360, 45))
        axes.set_rlabel_position(_gap([math.degrees(at[0]) for at in curve.at]))
        axes.grid(color=colour("grid"), lw=0.7)
        axes.spines["polar"].set_color(colour("grid"))
        for tick in axes.yaxis.get_ticklabels():
            tick.set(fontsize=SMALL - 0.5, ha="center")
        if limited or _two(parts):
            axes.legend(loc="upper left", bbox_to_anchor=(-0.33, 1.12), handletextpad=0.3, borderaxespad=0.1)

    return Panel("Error by angle", _words(curve), draw, 320, 250, (50, 50, 24, 24), "polar")


def _sphere(curve: Curve) -> Panel:
    """Both hemispheres of rotation axes in equal area, shaded by the error; the size of a mark is the angle."""
    parts = _parts(curve)
    top = max(e for e in curve.errors if math.isfinite(e)) or 1.0

    def draw(axes: Any) -> None:
        from matplotlib.patches import Circle

        blank(axes)
        for side, centre in ((1, -1.1), (-1, 1.1)):
            axes.add_patch(Circle((centre, 0), 1, fill=False, ec=colour("muted"), lw=0.8))
            axes.plot([centre - 1, centre + 1], [0, 0], color=colour("grid"), lw=0.7, zorder=0)
            axes.plot([centre, centre], [-1, 1], color=colour("grid"), lw=0.7, zorder=0)
            note(axes, (centre, 1.08), "axis up, z ≥ 0" if side > 0 else "axis down, z < 0", ha="center")
            for _, marker, tone, points in parts:
                for at, error in points:
                    _mark(axes, at, side, centre, marker, tone, error / top)
        note(axes, (-0.07, 0.04), "x", ha="right")
        note(axes, (-1.06, 0.86), "y")
        _scale(axes, parts[0][2], numbers.ratio(top))
        axes.set_xlim(-2.15, 2.15)
        axes.set_ylim(-2.0, 1.3)

    words = "Each mark is at the axis of its rotation, and larger for larger angles. " + _words(curve)
    return Panel("Error by rotation axis", words, draw, 320, 246, (2, 2, 2, 2))


def _mark(
    axes: Any, at: tuple[float, ...], side: int, centre: float, marker: str, tone: str, share: float
) -> None:
    """One element on the disc of its hemisphere: Lambert's projection, (x, y) / √(1 + |z|)."""
    angle = _angle(at)
    if not angle > 0 or (at[2] >= 0) != (side > 0):
        return
    x, y, z = (part / angle for part in at[:3])
    reach = math.sqrt(1 + abs(z))
    place = (centre + x / reach, y / reach)
    size = 3 + 6 * angle / math.pi
    axes.plot(*place, marker, ms=size, color=colour("surface"), mec="none")
    axes.plot(*place, marker, ms=size, mfc=colour(tone), mec="none", alpha=max(share, 0.04))
    axes.plot(*place, marker, ms=size, mfc="none", mec=colour(tone), mew=0.8)


def _scale(axes: Any, tone: str, top: str) -> None:
    """What shade and size mean."""
    from matplotlib.patches import Rectangle

    for i in range(12):
        box = Rectangle((-1.95 + 0.1 * i, -1.5), 0.1, 0.16, fc=colour(tone), ec="none", alpha=(i + 0.5) / 12)
        axes.add_patch(box)
    axes.add_patch(Rectangle((-1.95, -1.5), 1.2, 0.16, fill=False, ec=colour("muted"), lw=0.6))
    note(axes, (-1.95, -1.8), "0", ha="center")
    note(axes, (-0.75, -1.8), top, ha="center")
    note(axes, (-1.35, -1.27), "error", ha="center")
    for i, degrees in enumerate((30, 90, 180)):
        axes.plot(0.5 + 0.6 * i, -1.42, "o", ms=3 + 6 * degrees / 180, mfc="none", mec=colour("muted"), mew=0.8)
        note(axes, (0.5 + 0.6 * i, -1.8), f"{degrees}°", ha="center")
    note(axes, (1.1, -1.2), "angle", ha="center")


def _against(curve: Curve, tolerance: float, *, by_angle: bool) -> Panel:
    """The error against the angle of rotation, or against the one number that an element is."""
    known = [(at, e) for at, e in zip(curve.at, curve.errors, strict=True) if math.isfinite(e)]
    parts = _parts(curve) if by_angle else [("", "o", "a", known)]

    def draw(axes: Any) -> None:
        plain(axes)
        for name, marker, tone, points in parts:
            pairs = sorted((math.degrees(_angle(at)) if by_angle else at[0], e) for at, e in points)
            if not by_angle:
                axes.plot(*zip(*pairs, strict=True), color=colour(tone), lw=0.8, alpha=0.5)
            axes.plot(*zip(*pairs, strict=True), marker, ms=4.5, color=colour(tone), label=name or None)
        errors = [e for _, e in known]
        from_zero(axes, errors, tolerance)
        if by_angle:
            axes.set_xlim(0, 184)
            axes.set_xticks(range(0, 181, 45), [f"{degrees}°" for degrees in range(0, 181, 45)])
            if _two(parts):
                axes.legend(loc="upper left", handletextpad=0.2, borderaxespad=0.1)
        elif all(at[0] > 0 for at, _ in known) and max(at[0] for at, _ in known) > 30 * min(at[0] for at, _ in known):
            axes.set_xscale("log")
        axes.set_xlabel("angle of rotation" if by_angle else "parameter of the element")
        axes.set_ylabel("mean error")

    title = "Error by angle of rotation" if by_angle else "Error by element"
    return Panel(title, _words(curve), draw, 320, 230, (56, 10, 12, 40))


def _bars(curve: Curve, tolerance: float) -> Panel:
    """One bar an element, from zero, in the order of the group."""
    labels = [_named(curve, i) for i in range(len(curve.labels))]
    room = min(max(map(len, labels)) * 5.6 + 10, 178)

    def draw(axes: Any) -> None:
        places = range(len(labels))
        tones = [colour(_STYLES[_mirrored(curve, i)][2]) for i in places]
        axes.barh(places, [e if math.isfinite(e) else 0 for e in curve.errors], 0.72, color=tones)
        axes.set_yticks(places, labels)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        top = max((e for e in curve.errors if math.isfinite(e)), default=0.0) or 1.0
        axes.set_xlim(0, 1.35 * top)
        axes.set_xticks([])
        for place, error in zip(places, curve.errors, strict=True):
            known = math.isfinite(error)
            words = numbers.ratio(error) if known else "not a number"
            beside(axes, (error if known else 0, place), words)
        if 0 < tolerance <= top:
            axes.axvline(tolerance, color=colour("ink"), lw=1, ls=(0, (4, 3)))

    height = _ROW * len(labels) + 16
    return Panel("Error by element", _words(curve), draw, 320, max(height, 60), (room, 6, 8, 8))


def _cells(curve: Curve) -> Panel:
    """One cell an element, in the order of the group, shaded by the error; the three worst are named."""
    columns = min(16, math.ceil(math.sqrt(1.6 * len(curve.errors))))
    lines = math.ceil(len(curve.errors) / columns)
    finite = [i for i, e in enumerate(curve.errors) if math.isfinite(e)]
    worst = sorted(finite, key=lambda i: -curve.errors[i])[:3]
    top = curve.errors[worst[0]] or 1.0
    size = 300 / columns

    def draw(axes: Any) -> None:
        from matplotlib.patches import Rectangle

        blank(axes)
        for i, error in enumerate(curve.errors):
            corner, tone = (i % columns, i // columns), colour(_STYLES[_mirrored(curve, i)][2])
            if math.isfinite(error):
                axes.add_patch(Rectangle(corner, 0.92, 0.92, fc=tone, ec="none", alpha=max(error / top, 0.03)))
            axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, ec=tone, lw=0.6))
            if not math.isfinite(error):
                note(axes, (corner[0] + 0.46, corner[1] + 0.46), "!", ha="center", va="center")
        for rank, i in enumerate(worst, 1):
            centre = (i % columns + 0.46, i // columns + 0.46)
            note(axes, centre, str(rank), ha="center", va="center", color=colour("surface"), weight="bold")
            words = f"{rank}: {numbers.ratio(curve.errors[i])}, {_named(curve, i)}"
            note(axes, (0, lines + (6 + 13 * rank) / size), words)
        axes.set_xlim(0, columns)
        axes.set_ylim(lines + 48 / size, 0)

    words = f"One cell for each element, darker for a larger error (none to {numbers.ratio(top)}). " + _words(curve)
    return Panel("Error by element", words, draw, 320, lines * size + 58, (10, 10, 5, 5))


def _mirrored(curve: Curve, i: int) -> int:
    return int(bool(curve.at) and curve.at[i][-1] == 1)


def _angle(point: Sequence[float]) -> float:
    """‖axis times angle‖."""
    return math.hypot(*point[:3])


def _named(curve: Curve, i: int) -> str:
    """What element i is called in a plot: `120° (1, -1, 0)` where its axis is known, else its label, not endless."""
    if curve.at and len(curve.at[i]) == 4 and (turn := _angle(curve.at[i])) > 0:
        largest = max(map(abs, curve.at[i][:3]))
        axis = ", ".join(f"{round(part / largest, 2) + 0.0:g}" for part in curve.at[i][:3])
        if not _mirrored(curve, i):
            return f"{math.degrees(turn):.0f}° ({axis})"
        return f"mirror ({axis})" if turn > 3.14 else f"inversion + {math.degrees(turn):.0f}° ({axis})"
    words = clean(curve.labels[i])
    words = words.partition(": ")[2] or words
    for long, short in _SHORT:
        words = words.replace(long, short)
    return words if len(words) <= _LETTERS else words[: _LETTERS - 1] + "…"
