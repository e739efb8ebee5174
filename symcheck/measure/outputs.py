"""What is measured of a model's result, by name: its own outputs, what is computed from them, and parts inside it.

A name in a claim is, in this order: an output of the model; one of the user's derived outputs; `probabilities` or
`label` of its logits; the path of a part of the module. With chosen outputs nothing else is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from torch import Tensor, nn

from symcheck.claim import Offer
from symcheck.errors import ConfigError, SymcheckError
from symcheck.measure.expressions import (
    Applied,
    Expression,
    Gradient,
    Named,
    inputs_in,
    is_label,
    names_in,
    parse_expression,
)
from symcheck.measure.parts import parts_of, watching
from symcheck.registry import suggest
from symcheck.report.formats import SUFFIXES
from symcheck.subject import Subject, named_outputs

WORDS = {"probabilities": "softmax", "label": "argmax"}  # of the logits
_HIDDEN = "(source) "  # of a label that is measured where its numbers are not: no claim can name it
_LISTED = 8  # parts that an error names


@dataclass(frozen=True)
class Plan:
    """The outputs of a model that returns `found`: how each is made, None for its own, and which are `free` (Offer)."""

    found: Set[str]
    made: Mapping[str, Expression | None]
    free: frozenset[str] = frozenset()


class Outputs:
    """Names what a model returns and adds what is derived; settled by the first result of its kind."""

    def __init__(self, subject: Subject, module: nn.Module | None) -> None:
        self.derive = {name: parse_expression(text, f"derive {name}") for name, text in subject.derive.items()}
        self.chosen = tuple(dict.fromkeys(subject.output))
        self.parts = parts_of(module)
        self._names: list[str] = []
        self._lone = ""  # the only output, where there is one
        self._inside: frozenset[str] = frozenset()  # parts that are watched
        self._plan: Plan | None = None
        for name in self.chosen:
            if PurePath(name).suffix in SUFFIXES and name not in self.parts:
                raise ConfigError(
                    f"'{name}' is the name of a file, not of an output",
                    where="--output",
                    hint=f"--output says what is measured; write the report with -o {name}",
                )

    @property
    def names(self) -> list[str]:
        """The names that the claims give to outputs, in order."""
        return self._names

    @names.setter
    def names(self, names: Sequence[str]) -> None:
        """Names for what follows; what they stand for is settled anew."""
        self._names, self._plan = list(names), None

    @property
    def inputs(self) -> list[str]:
        """The inputs with respect to which gradients are taken."""
        return list(dict.fromkeys(name for tree in self.derive.values() for name in inputs_in(tree)))

    def taking(self, call: Callable[..., Any]) -> Callable[..., dict[str, Tensor]]:
        """The same call, giving by name what the model returns, and the parts that are asked for."""
        trees = [*self.derive.values(), *filter(None, map(self._as_part, (*self.names, *self.chosen)))]
        parts = dict.fromkeys(one for tree in trees for one in names_in(tree) if one.path in self.parts)

        def taken(*args: Any, **named: Any) -> dict[str, Tensor]:
            with watching(self.parts, tuple(parts)) as caught:
                result = call(*args, **named)
            own = self._own(result)
            self._lone = next(iter(own)) if len(own) == 1 else ""
            self._inside = frozenset(map(str, parts)) - own.keys()
            return own | {str(part): caught.of(part) for part in parts if str(part) not in own}

        return taken

    def of(self, found: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All measured outputs, from what one batch gave."""
        if self._plan is None or self._plan.found != found.keys():
            self._plan = self._planned(found)
        values = dict(found)
        for name, tree in self._plan.made.items():
            values[name] = values[name] if tree is None else self._value(tree, found, inputs)
        return {name: values[name] for name in self._plan.made}

    @property
    def offer(self) -> Offer:
        """Which outputs a claim need not declare: what only other claims name, and what others are derived from."""
        free = self._plan.free if self._plan is not None else frozenset()
        return Offer(free, frozenset() if self.chosen else frozenset({self._lone}), bool(self.chosen))

    def margin(self, name: str, outputs: Mapping[str, Tensor]) -> Tensor | None:
        """How far f(x) is from another label, entry by entry; None where the output is no label made from numbers."""
        tree = self._plan.made.get(name) if self._plan is not None else None
        if not isinstance(tree, Applied) or not tree.labels:
            return None
        source = str(tree.inner)
        return tree.margin(outputs[source] if source in outputs else outputs[_HIDDEN + source])

    def _own(self, result: Any) -> dict[str, Tensor]:
        """The model's own outputs; of those that were not chosen, what is no tensor is passed over."""
        if isinstance(result, tuple | list) and not getattr(result, "_fields", None):
            names = self._by_position(len(result))
        else:
            names = self._of_one(result) if isinstance(result, Tensor) else []
        return named_outputs(result, names, strict=not self.chosen)

    def _by_position(self, count: int) -> list[str]:
        """The first names that nothing else explains; else all names, where there are as many as outputs."""
        plain = [name for name in self._given if self._as_part(name) is None and name not in WORDS]
        every = [name for name in self._given if _plain(name)]
        return plain[:count] if len(plain) >= count else every if len(every) == count else []

    def _of_one(self, y: Tensor) -> list[str]:
        """The name of the only output: the claim's, `logits` where that was chosen, else `output`."""
        if is_label(y) and "label" in (*self._given, *self.chosen):
            return ["label"]
        if found := [name for name in self._given if self._as_part(name) is None and name not in WORDS]:
            return found[:1]
        if len(self._given) == 1 and _plain(self._given[0]) and self._given[0] not in WORDS and not self.chosen:
            name = self._given[0]
            raise ConfigError(
                f"'{name}' is a part of the model, and could be a name for the only output that it returns",
                where=f"output '{name}' of the claim",
                hint=f"--output {name} measures the part; call the output of the model 'output'",
            )
        return ["logits"] if "logits" in self.chosen else []

    @property
    def _given(self) -> list[str]:
        return [name for name in self.names if name not in self.derive]

    def _planned(self, found: Mapping[str, Tensor]) -> Plan:
        """Settle what every name stands for; ConfigError for a chosen name, or a path, that is nothing here."""
        own = [name for name in found if name not in self._inside]
        if twice := [name for name in self.derive if name in own]:
            raise ConfigError(
                f"the model returns a '{twice[0]}' of its own, which the derived one would hide",
                where=f"derive {twice[0]}",
                hint=f"derive it under another name, {twice[0]}_derived, or measure the model's own",
            )
        wanted: dict[str, Expression | None] = {}
        for name in (*self.names, *self.chosen):
            if name in own or name in self.derive or name in wanted:
                continue
            tree = self._meaning(name, found)
            if tree is not None or name in self._inside:
                wanted[name] = tree
            elif name in self.chosen or not _plain(name):
                raise self._unknown(name, own)
        every: dict[str, Expression | None] = {**dict.fromkeys(own), **self.derive, **wanted}
        made = {name: every[name] for name in self.chosen} if self.chosen else every
        sources = [tree.inner for tree in made.values() if isinstance(tree, Applied) and tree.labels]
        # a label keeps the numbers that it is made of, for its margins
        hidden = {_HIDDEN + str(tree): tree for tree in sources if str(tree) not in made}
        return Plan(frozenset(found), {**made, **hidden}, frozenset(hidden) | frozenset(() if self.chosen else wanted))

    def _meaning(self, name: str, found: Mapping[str, Tensor]) -> Expression | None:
        """What a word stands for that is no output of the model; None for nothing."""
        if name == "logits" and self._lone:
            return Named(self._lone)
        if name not in WORDS:
            return None
        source = "logits" if "logits" in found else self._lone
        if not source:
            raise ConfigError(
                f"it cannot be told of which output '{name}' is",
                where=f"outputs: {', '.join(found)}",
                hint=f"say it: --derive {name}='{WORDS[name]}({next(iter(found), 'logits')})'",
            )
        tree = Applied(WORDS[name], Named(source))
        return Named(source) if name == "probabilities" and _sums_to_one(found[source], tree) else tree

    def _value(
        self, tree: Expression, found: Mapping[str, Tensor], inputs: Mapping[str, Tensor], within: tuple[str, ...] = ()
    ) -> Tensor:
        """The tensor of an expression."""
        if isinstance(tree, Applied):
            return tree.of(self._value(tree.inner, found, inputs, within))
        if isinstance(tree, Gradient):
            return tree.of(self._value(tree.inner, found, inputs, within), inputs[tree.wrt])
        name = str(tree)
        if name in found:
            return found[name]
        if name in within:
            raise ConfigError(f"'{name}' is derived from itself", where="derive", hint="name an output of the model")
        inner = self.derive.get(name) or self._meaning(name, found)
        if inner is None:
            raise self._unknown(name, found)
        return self._value(inner, found, inputs, (*within, name))

    def _unknown(self, name: str, own: Iterable[str]) -> ConfigError:
        """The error of a name that is neither an output nor a part."""
        outer = [path for path in self.parts if "." not in path]
        shown = ", ".join(outer[:_LISTED]) + (f", … ({len(self.parts)} in all)" if len(self.parts) > _LISTED else "")
        known = [*own, *self.derive, *WORDS, *self.parts]
        return ConfigError(
            f"there is no output or part '{name}'",
            where=f"outputs: {', '.join((*own, *self.derive)) or 'none'}; parts: {shown or 'none'}",
            hint=suggest(name, known),
        )

    def _as_part(self, name: str) -> Named | None:
        """The part that a name is the path of; also a path that leads nowhere is no name of an output."""
        try:
            tree = parse_expression(name, "output")
        except SymcheckError:
            return None
        return tree if isinstance(tree, Named) and (tree.path in self.parts or not _plain(name)) else None


def _plain(name: str) -> bool:
    """Whether a name could be that of an output by position: one word."""
    return name.isidentifier()


def _sums_to_one(y: Tensor, tree: Applied) -> bool:
    """Whether an output is made of probabilities already: none negative, and one together."""
    axis = tree.axis_of(y)
    return bool((y >= 0).all()) and bool(((y.double().sum(axis) - 1).abs() < 1e-2).all())

