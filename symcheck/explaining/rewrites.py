"""Other networks of the same function: weights moved by their proved symmetries, and identities put in between.

    f(g·θ, x) = f(θ, x)        u = ReLU(u) − ReLU(−u) after every linear layer
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from symcheck.errors import SymcheckError
from symcheck.report.model import Verdict
from symcheck.report.numbers import count
from symcheck.weights.moves import drawn
from symcheck.weights.session import derived
from symcheck.weights.spec import Spec

_LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Rewrite:
    """A network that computes what the first one computes, and how it was made."""

    name: str
    how: str
    module: nn.Module


@final
class Doubled(nn.Module):
    """u -> ReLU(u) − ReLU(−u), which is u."""

    def __init__(self) -> None:
        super().__init__()
        self.above, self.below = nn.ReLU(), nn.ReLU()

    def forward(self, u: Tensor) -> Tensor:
        """u itself."""
        difference: Tensor = self.above(u) - self.below(-u)
        return difference


def rewrites(module: nn.Module, example: Mapping[str, Tensor], seed: int) -> tuple[list[Rewrite], list[str]]:
    """One rewrite for every kind of weight symmetry, and one with identities; in words why there are no others.

    All are copies in the precision of the module, which stays as it was.
    """
    found, notes = [], []
    try:
        spec, _ = derived(module, dict(example), seed=seed)
        found = list(_moved(module, spec, seed))
        if not found:
            notes.append("no symmetry of the weights is known")
    except SymcheckError as error:
        notes.append(f"the symmetries of the weights are not known: {error.message}")
    other, layers = doubled(module)
    if layers:
        found.append(Rewrite("identity", f"u = ReLU(u) − ReLU(−u) after {count(layers, 'layer')}", other))
    return found, notes


def doubled(module: nn.Module) -> tuple[nn.Module, int]:
    """A copy with an identity after every linear layer that is a part of another, and how many there are."""
    other, layers = copy.deepcopy(module), 0
    for parent in [*other.modules()]:
        for name, child in [*parent.named_children()]:
            if type(child) in _LINEAR:
                setattr(parent, name, nn.Sequential(child, Doubled()))
                layers += 1
    return other, layers


def _moved(module: nn.Module, spec: Spec, seed: int) -> Iterator[Rewrite]:
    """The module at g·θ for a random g of each kind of space that is exact and proved."""
    proofs = (spec.certificate or {}).get("proofs", ())
    proved = {str(proof["space"]) for proof in proofs if proof["verdict"] == str(Verdict.EXACT)}
    kinds = dict.fromkeys(space.kind for name, space in spec.spaces.items() if name in proved)
    for kind in kinds:
        names = [name for name, space in spec.spaces.items() if space.kind == kind and name in proved]
        other = copy.deepcopy(module)
        state = {name: x.detach().clone() for name, x in other.state_dict().items()}
        other.load_state_dict(spec.apply(drawn(spec, names, seed), state))
        yield Rewrite(kind, f"a random element of {count(len(names), 'space')}", other)
