"""From two checkpoints to their connection: align, walk, renormalise, and read the barriers off.

    found = connect(model, a, b, data)        found.variants["aligned"].curves["train"].barrier
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from symcheck.connect.ends import aligned_end, changed_integers, same_outputs
from symcheck.connect.mechanisms import ELEMENTS, SAMPLES
from symcheck.connect.path import State, grid
from symcheck.connect.result import Connection
from symcheck.connect.variants import Options, Variants
from symcheck.connect.walk import Walker
from symcheck.errors import ConfigError
from symcheck.loading.fit import fit_state
from symcheck.measure.loss import Labelled, Loss, loss_for
from symcheck.subject import Subject, as_subject
from symcheck.version import __version__
from symcheck.weights.session import network
from symcheck.weights.spec import Spec


def connect(
    model: Any,
    a: State,
    b: State,
    data: Labelled,
    *,
    loss: Loss | None = None,
    test: Labelled | None = None,
    spec: Spec | None = None,
    aligned: State | None = None,
    align: bool = True,
    device: torch.device | str = "cpu",
    tell: Callable[[str], None] = lambda step: None,
    **options: Any,
) -> Connection:
    """The loss along θ_t = (1 − t) A + t B between two state dicts of one network, and its barriers.

    `model` is an nn.Module or what symcheck.load returned; its own weights do not matter. Paths: naive; to B aligned on
    A by the symmetries in `spec`, derived and proved where none is given; the same with the statistics of batch
    normalisations reset, and with REPAIR. `aligned` is B aligned already; without `align` there is only the naive path,
    and its repairs. Statistics come from `data`. `options`: points, path, path_steps, mechanisms, batch_size, seed.
    Raises LoadError when a state does not fit the model, DataError when the data do not, when a loss is not finite, or
    when `aligned` is another function than `b`.
    """
    start, chosen, subject = time.perf_counter(), Options(**options), as_subject(model)
    sets = {"train": data, **({"test": test} if test is not None else {})}
    loss = loss or loss_for(data.labels)
    walker = Walker.of(_module(subject), sets, loss, torch.device(device), chosen.batch_size)
    for name, state in (("A", a), ("B", b), ("the aligned B", aligned)):
        if state is not None:
            fit_state(walker.network.module, state, name)
    alignment: dict[str, Any] = {"how": "none" if aligned is None else "given"}
    if aligned is None and align:
        aligned, alignment = aligned_end(subject, walker, a, b, spec, chosen.seed, tell)
    if aligned is not None:
        alignment["outputs"] = same_outputs(walker, b, aligned)
    variants = Variants(walker, chosen, tell)
    notes = [*subject.notes, *variants.move_data()]
    found = variants.walked(a, {"naive": b, **({"aligned": aligned} if aligned is not None else {})})
    if odd := changed_integers(a, b):
        notes.append(f"tensors of whole numbers stay those of A where B has others: {', '.join(odd)}")
    return Connection(
        grid(chosen.points), found, loss.name, alignment, _settings(walker, chosen), _environment(walker),
        (*notes, *variants.notes()), time.perf_counter() - start, walker.forwards,
    )  # fmt: skip


def _module(subject: Subject) -> nn.Module:
    """The network, whose layers can be looked into."""
    if not subject.castable:
        raise ConfigError(
            f"'{subject.name}' is a compiled program, whose layers cannot be looked into",
            where="the model",
            hint="give the weights of both networks, and --model module:factory that builds them",
        )
    return network(subject)


def _settings(walker: Walker, options: Options) -> dict[str, Any]:
    audits = {"audit": {"samples": SAMPLES, "elements": ELEMENTS}} if options.mechanisms else {}
    samples = {name: data.count for name, data in walker.sets.items()}
    return {**vars(options), "batch_size": walker.batch_size, "stack": walker.stack or 1, "samples": samples, **audits}


def _environment(walker: Walker) -> dict[str, Any]:
    device = walker.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    dtype = next((x.dtype for x in walker.network.slots.values() if x.is_floating_point()), None)
    return {
        "symcheck": __version__, "python": platform.python_version(), "torch": torch.__version__,
        "device": str(device), "device_name": name, "dtype": str(dtype).removeprefix("torch."),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
