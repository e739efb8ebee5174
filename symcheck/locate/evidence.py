"""What is known of an operation that an error is attributed to, and the names of operations by what they do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from symcheck.intertwiners.kinds import FUNCTIONS, Kind

_VECTOR = re.compile(r"\b(vector|points|pseudovector|covector|tensor\(|rotation|multivector|irreps\(.*x?[1-9]\d*[eo])")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RANDOM = _words(
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout rand randn rand_like "
    "randn_like randint randint_like randperm bernoulli multinomial normal poisson rrelu gumbel_softmax"
)
DECISIONS = _words(
    "le lt ge gt eq ne less greater less_equal greater_equal not_equal topk sort argsort msort kthvalue argmax argmin "
    "round floor ceil trunc sign heaviside bucketize searchsorted nonzero unique masked_fill masked_select where"
)
POINTWISE = frozenset(name for name, kind in FUNCTIONS.items() if kind is not Kind.LINEAR) | _words(
    "prelu threshold log log1p sqrt pow clamp clip reciprocal softmax log_softmax glu round floor ceil trunc heaviside"
)
EVEN = _words("square pow abs")
PRODUCTS = _words("linear matmul mm bmm mv einsum mul addmm baddbmm bilinear tensordot dot")
SUMS = _words("add sub rsub addcmul addcdiv")
MASKS = _words("masked_fill masked_select where")
SETTLED = _words("softmax log_softmax scatter_add index_add sum mean gather index_select")
TURNS = _words("cos sin atan2 arctan2 angle svd qr eigh eig matrix_exp inv")
IN_ORDER = _words("lstm gru rnn_tanh rnn_relu cumsum cumprod cummax cummin logcumsumexp")
ATTENTION = _words("scaled_dot_product_attention multi_head_attention_forward")
HANDED = _words("cross det slogdet")
RESAMPLING = _words("interpolate upsample grid_sample affine_grid upsample_bilinear upsample_nearest")


def plain(function: str) -> str:
    """The plain name of a function: `__radd__`, `add_` and `linalg_cross` are `add`, `add` and `cross`."""
    name = function.removeprefix("torch.").rsplit(".", 1)[-1].strip("_").removeprefix("linalg_")
    inner = name[1:] if name[:1] in ("r", "i") and name[1:] in ("add", "sub", "mul", "matmul", "pow") else name
    return {"subtract": "sub", "multiply": "mul", "concat": "cat", "concatenate": "cat"}.get(inner, inner)


@dataclass(frozen=True)
class Facts:
    """What is known of the operation that an error is attributed to.

    `names` are the parameters and buffers that it reads, directly or by way of other operations on them; `before` the
    functions that lead to it inside its module; `action` and `given` the hidden actions of its result and of what it
    reads, empty where unknown; `picked` whether places are taken out by number in between, `shape` that of the first
    tensor it reads, `fixed` whether it reads numbers made on the way (a mask, a ramp); `faces` those of the claim's
    group; `only` the elements that alone carry an error (`improper`, `odd shifts`); `error` is relative to the output,
    `epsilon` that of the run's numbers; `inverse` says that its result follows ρ(g⁻¹) instead of ρ(g), `single` that
    the stored numbers it reads are rounded to float32, None where it reads none; `commutes` that it is equivariant
    without its bias, None where it has none or that was not tried.
    """

    function: str
    kind: str = ""
    path: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    action: str = ""
    given: tuple[str, ...] = ()
    faces: frozenset[str] = frozenset()
    only: str = ""
    error: float = math.nan
    epsilon: float = math.nan
    inverse: bool = False
    single: bool | None = None
    fixed: bool = False
    shape: tuple[int, ...] = ()
    picked: bool = False
    commutes: bool | None = None

    @property
    def operation(self) -> str:
        """The plain name of the function."""
        return plain(self.function)

    @property
    def earlier(self) -> frozenset[str]:
        """The plain names of the functions before it."""
        return frozenset(map(plain, self.before))

    @property
    def on_vectors(self) -> bool:
        """Whether the group turns the components of what it reads."""
        return any(_VECTOR.search(text) for text in self.given)

    @property
    def makes_vectors(self) -> bool:
        """Whether the group turns the components of what it returns."""
        return _VECTOR.search(self.action) is not None

    @property
    def moves(self) -> bool:
        """Whether the group moves places (shifts, permutations, turned grids), not only components."""
        return bool({"shift", "permutation"} & self.faces) or any("image" in text for text in self.given)

    def all_of(self, key: str) -> tuple[object, ...]:
        """An attribute that is one number or one for each axis."""
        value = self.attributes.get(key, ())
        return tuple(value) if isinstance(value, tuple | list) else (value,)
