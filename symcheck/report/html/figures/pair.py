"""The worst pair as a picture: what goes in before and after g, and the two sides that should be equal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from symcheck.report import numbers
from symcheck.report.html.figures.canvas import Panel, blank, colour, note, plain
from symcheck.report.html.pairs import Pair

_BARS = 32  # numbers that are drawn as bars; more are drawn one side against the other
_NAMED = 12  # points that are told apart by number
_INPUTS = 2  # inputs that are drawn
_WIDE = 304  # px of all images of a row
SIDES = ("f(g·x)", "g·f(x)")


def pair_panels(pair: Pair, output: str) -> list[Panel]:
    """Inputs that g moves, before and after, then both sides of `output`; by the shapes that they have."""
    left, right = pair.left.get(output), pair.right.get(output)
    if left is None or right is None or left.shape != right.shape:
        return []
    moved = {name: (x, pair.moved[name]) for name, x in pair.inputs.items() if name in pair.moved}
    drawn = [_input(name, *both, left, right) for name, both in _changed(moved).items()]
    panels = [panel for panel in drawn if panel is not None][:_INPUTS]
    if is_image(left):
        sides = dict(zip(SIDES, (left, right), strict=True))
        return [*panels, _images(f"Worst pair, both sides: {output}", sides, difference=True)]
    if left.size == 1 or (panels and _is_field(left, next(iter(moved.values()))[0])):
        return panels
    return [*panels, _bars(output, left, right) if left.size <= _BARS else _scatter(output, left, right)]


def _changed(moved: Mapping[str, tuple[Any, Any]]) -> Mapping[str, tuple[Any, Any]]:
    """Only what g moves, where that is anything."""
    return {name: (x, y) for name, (x, y) in moved.items() if x.shape != y.shape or (x != y).any()} or moved


def is_image(array: Any) -> bool:
    """(1-4 channels, H, W) or (H, W), at least 4 × 4."""
    channels = array.shape[0] if array.ndim == 3 else 1
    return array.ndim in (2, 3) and 1 <= channels <= 4 and min(array.shape[-2:]) >= 4 and array.ndim + channels > 3


def is_cloud(array: Any) -> bool:
    """(n, 3) or (n, 2) points."""
    return array.ndim == 2 and array.shape[1] in (2, 3) and array.shape[0] >= 2


def _is_field(left: Any, cloud: Any) -> bool:
    return is_cloud(left) and left.shape == cloud.shape


def _input(name: str, x: Any, moved: Any, left: Any, right: Any) -> Panel | None:
    if is_cloud(x) and x.shape == moved.shape:
        return _cloud(name, x, moved, (left, right) if _is_field(left, x) else None)
    if is_image(x) and is_image(moved):
        return _images(f"Worst pair: {name}", {"x": x, "g·x": moved})
    return None


def _images(title: str, images: Mapping[str, Any], *, difference: bool = False) -> Panel:
    """Images side by side on one grey scale; their difference on a scale of its own, which is named."""
    import numpy as np

    shown = {name: _small(image) for name, image in images.items()}
    low, high = (float(f([f(image) for image in shown.values()])) for f in (np.nanmin, np.nanmax))
    scaled = {name: (image - low) / ((high - low) or 1) for name, image in shown.items()}
    if difference:
        gap = np.abs(np.subtract(*shown.values()))
        top = float(np.nanmax(gap))
        scaled[f"difference, to {numbers.number(top)}"] = gap / (top or 1)

    edge = (_WIDE - 8 * (len(scaled) - 1)) / max(len(scaled), 2)
    tall = max(edge * image.shape[-2] / image.shape[-1] for image in scaled.values())

    def draw(axes: Any) -> None:
        blank(axes)
        for i, (name, image) in enumerate(scaled.items()):
            start, pixels = i * (edge + 8), _pixels(image)
            height = edge * pixels.shape[0] / pixels.shape[1]
            axes.imshow(pixels, extent=(start, start + edge, height, 0), interpolation="none")
            note(axes, (start + edge / 2, -5), name, ha="center")
        axes.set_xlim(0, _WIDE)
        axes.set_ylim(tall, -18)

    span = f"grey levels from {numbers.number(low)} to {numbers.number(high)}"
    return Panel(title, f"{', '.join(scaled)} side by side, {span}.", draw, _WIDE, tall + 18, (0, 0, 0, 0))


def _small(image: Any) -> Any:
    """At most about 128 pixels a side: every k-th of them."""
    step = max(1, math.ceil(max(image.shape[-2:]) / 128))
    return image[..., ::step, ::step]


def _pixels(image: Any) -> Any:
    """(H, W, 3 or 4) of one, three or four channels in 0..1; the mean of two."""
    import numpy as np

    stacked = image[None] if image.ndim == 2 else image
    grey = stacked.mean(0, keepdims=True).repeat(3, 0) if len(stacked) < 3 else stacked[:3]
    bytes_ = np.nan_to_num(np.clip(grey, 0, 1)) * 255
    return bytes_.round().astype(np.uint8).transpose(1, 2, 0)


def _cloud(name: str, x: Any, moved: Any, field: tuple[Any, Any] | None) -> Panel:
    """Points before and after, seen from one direction on one scale; on g·x the vectors of both sides."""
    import numpy as np

    flat, seen = (_projected(points - points.mean(0)) for points in (x, moved))
    reach = 1.15 * max(float(np.abs(part[:, :2]).max()) for part in (flat, seen)) or 1.0
    arrows = [] if field is None else [_projected(vectors) for vectors in field]
    longest = max((float(np.hypot(a[:, 0], a[:, 1]).max()) for a in arrows), default=0.0)

    def draw(axes: Any) -> None:
        blank(axes)
        for part, centre, label in ((flat, -1.1 * reach, "x"), (seen, 1.1 * reach, "g·x")):
            _points(axes, part, centre, reach)
            note(axes, (centre, 1.14 * reach), label, ha="center")
        for vectors, tone, side, width in zip(arrows, ("a", "b"), SIDES, (0.014, 0.007), strict=False):
            axes.quiver(seen[:, 0] + 1.1 * reach, seen[:, 1], vectors[:, 0], vectors[:, 1], color=colour(tone),
                        angles="xy", scale_units="xy", scale=(longest / (0.6 * reach)) or 1, width=width, label=side,
                        zorder=3)
        if arrows:
            axes.legend(loc="lower left", bbox_to_anchor=(0, -0.02), handlelength=1.2, ncols=2)
        axes.set_xlim(-2.3 * reach, 2.3 * reach)
        axes.set_ylim((-1.5 if arrows else -1.15) * reach, 1.35 * reach)

    words = f"{len(x)} points before and after the element, about their centre, larger where nearer"
    words += f"; on g·x the vectors {' and '.join(SIDES)}, the longest {numbers.number(longest)}." if arrows else "."
    return Panel(f"Worst pair: {name}", words, draw, 320, 198 if arrows else 174, (2, 2, 2, 2))


def _points(axes: Any, part: Any, centre: float, reach: float) -> None:
    """Points about a centre, the far ones first; a few of them with their numbers."""
    few = len(part) <= _NAMED
    for i in part[:, 2].argsort():
        across, up, near = part[i]
        size = (8 if few else 3) + (4 if few else 3) * (near / reach + 1) / 2
        axes.plot(across + centre, up, "o", ms=size, color=colour("muted"), mec=colour("surface"), mew=0.8)
        if few:
            note(axes, (across + centre, up), str(i), fontsize=6.5, ha="center", va="center", color=colour("surface"))


def _projected(points: Any) -> Any:
    """Right, up and towards the eye: the plane as it is, space from 30° aside and 20° above."""
    import numpy as np

    if points.shape[1] == 2:
        return np.concatenate([points, np.zeros((len(points), 1))], axis=1)
    a, e = math.radians(30), math.radians(20)
    right = [-math.sin(a), math.cos(a), 0]
    up = [-math.sin(e) * math.cos(a), -math.sin(e) * math.sin(a), math.cos(e)]
    eye = [math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)]
    return points @ np.asarray([right, up, eye]).T


def _bars(output: str, left: Any, right: Any) -> Panel:
    """The numbers of both sides in pairs, from zero."""
    sides = (left.reshape(-1), right.reshape(-1))

    def draw(axes: Any) -> None:
        plain(axes)
        for values, tone, side, shift in zip(sides, ("a", "b"), SIDES, (-0.2, 0.2), strict=True):
            axes.bar([i + shift for i in range(len(values))], values, 0.38, color=colour(tone), label=side)
        axes.axhline(0, color=colour("muted"), lw=0.8)
        step = 1 if left.size <= 12 else 5
        axes.set_xticks(range(0, left.size, step))
        axes.set_xlabel(f"component of {_brief(output)}")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2, handlelength=1)

    return Panel(f"Worst pair, both sides: {output}", _gap(*sides), draw, 320, 216, (46, 10, 24, 40))


def _scatter(output: str, left: Any, right: Any) -> Panel:
    """One side against the other: on the diagonal where they agree."""
    import numpy as np

    step = max(1, left.size // 400)
    across, up = right.reshape(-1)[::step], left.reshape(-1)[::step]
    both = np.concatenate([across, up])
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    pad = 0.05 * (high - low) or 1.0

    def draw(axes: Any) -> None:
        plain(axes)
        axes.plot([low - pad, high + pad], [low - pad, high + pad], color=colour("muted"), lw=0.8)
        axes.plot(across, up, "o", ms=3, color=colour("a"), alpha=0.6, mec="none")
        axes.set_xlabel(SIDES[1])
        axes.set_ylabel(SIDES[0])
        axes.set_aspect("equal", adjustable="box")
        axes.set_xlim(low - pad, high + pad)
        axes.set_ylim(low - pad, high + pad)

    shown = "" if step == 1 else f" Every {step}th number is shown."
    return Panel(f"Worst pair, both sides: {output}", _gap(left, right) + shown, draw, 320, 260, (52, 10, 10, 40))


def _gap(left: Any, right: Any) -> str:
    import numpy as np

    gap, size = float(np.abs(left - right).max()), float(np.abs(right).max())
    count = numbers.count(left.size, "number")
    return f"{count}; the sides differ by up to {numbers.number(gap)}, where g·f(x) is at most {numbers.number(size)}."


def _brief(name: str) -> str:
    return name if len(name) <= 30 else name[:29] + "…"
