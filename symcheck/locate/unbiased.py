"""Whether an operation with a bias is equivariant without it: its weights commute with the group, the bias does not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from symcheck.errors import SymcheckError
from symcheck.locate.actions import candidates, irreps_of
from symcheck.locate.gaps import apart, rms
from symcheck.locate.stations import Call
from symcheck.locate.terms import Attributed
from symcheck.locate.undecided import inherited

_SAME = 1e-5  # of what it returns: more than rounding, far less than what weights do that mix components
_THIRD = 2  # where the bias stands among the arguments of linear and conv


def sound_without_bias(found: Attributed, place: int) -> bool | None:
    """Whether W h(g·x) = g·W h(x) for some action, with the bias taken off; None where it cannot be taken off.

    One more run on g·x: what the bias adds there is what it adds at rest.
    """
    course, seen = found.course, list[Tensor]()

    def visit(call: Call) -> Any:
        if call.place == place:
            bare = _bare(call)
            seen.extend(() if bare is None else (*call.made(call()), *bare.made(bare())))
        values = found.swept.values
        return course.replaced(call, values[call.place]) if call.place in values else call()

    course.run(visit)
    if len(seen) != 2 or seen[0].shape != seen[1].shape or seen[0].shape != course.recording.values[place][0].shape:
        return None
    whole, bare = (one.detach() for one in seen)
    rest = course.recording.values[place][0] - (whole - bare)
    index = course.index_of(bare.shape)
    readings = [one for one in found.chart.get(place, ()) if one is not None]
    texts, said = inherited(course, found.chart, place), [*irreps_of(course.runner.module)]
    limit = max(_SAME, 64 * torch.finfo(bare.dtype).eps)
    for hidden in (*readings, *candidates(course.bound, bare.shape, len(index), texts, said)):
        try:
            moved = hidden(course.bound.group, course.elements.g, index, rest)
        except (SymcheckError, RuntimeError, IndexError):
            continue
        if rms(apart(bare, moved, len(index))) <= limit:
            return True
    return False


def _bare(call: Call) -> Call | None:
    """The same call without its bias."""
    kwargs = {name: value for name, value in call.kwargs.items() if name != "bias"}
    args = call.args
    if len(args) > _THIRD and (call.name == "linear" or call.name.startswith("conv")):
        args = (*args[:_THIRD], None, *args[_THIRD + 1 :])
    elif len(kwargs) == len(call.kwargs):
        return None
    return Call(call.place, call.function, args, kwargs)
