"""A claim: `f(g·x) = g·f(x)` for every g of one group, with the action on each input and output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from symcheck.actions.base import Action, Bound
from symcheck.actions.plain import make_actions
from symcheck.errors import ClaimError, DataError
from symcheck.grammar import ClaimTree, Slot, parse_claim
from symcheck.groups.base import Extents, Group
from symcheck.groups.products import make_group
from symcheck.groups.semidirect import intertwined
from symcheck.relations.base import Relation, Roles

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Offer:
    """What need not be said of the outputs that there are.

    Only a name declares what is `free`; what is `spare` may be left out where outputs are named; with `each` one action
    without a name is that of every output.
    """

    free: frozenset[str] = frozenset()
    spare: frozenset[str] = frozenset()
    each: bool = False


OFFER = Offer()


@dataclass(frozen=True)
class Own:
    """A group and actions that were made, not written: the group of a claim, and its actions by their terms."""

    group: Group
    actions: Mapping[str, Action]


@dataclass(frozen=True)
class Claim:
    """One group with its actions on the inputs and outputs of a subject; `Claim.parse(str(claim)) == claim`.

    `own` stands for words that the language does not have; such a claim does not parse back.
    """

    tree: ClaimTree
    own: Own | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str) -> Claim:
        """Parse `GROUP: inputs -> outputs` and look up every name; unknown names are a ClaimError."""
        claim = cls(parse_claim(text))
        try:
            claim.group()
            for slot in (*claim.tree.inputs, *claim.tree.outputs):
                make_actions(slot)
        except ClaimError as error:
            raise ClaimError(f"claim '{text}': {error.message}", where=error.where, hint=error.hint) from error
        return claim

    def __str__(self) -> str:
        return str(self.tree)

    def group(self) -> Group:
        """The group as written, not yet bound to data."""
        return make_group(self.tree.group) if self.own is None else self.own.group

    def actions(self, slot: Slot) -> tuple[Action, ...]:
        """The actions of one slot, told which names the whole claim has."""
        if self.own is not None:
            made = self.own.actions.get(str(slot.terms[0]))
            return make_actions(slot) if made is None else (made,)
        slots = (*self.tree.inputs, *self.tree.outputs)
        names = {name for other in slots for action in make_actions(other) for name in action.names}
        return tuple(action.among(names) for action in make_actions(slot))

    def input_names(self, given: Iterable[str]) -> dict[str, Slot]:
        """The slot of each given input, by name or by position; every input must be declared."""
        return _match(self.tree.inputs, list(given), "input", str(self))

    def output_names(self, given: Collection[str], offer: Offer = OFFER) -> dict[str, Slot]:
        """The slot of each output the subject gave, by name or by position; every output must be declared."""
        slots, named = self.tree.outputs, any(slot.name for slot in self.tree.outputs)
        undeclared = {*given} - {slot.name for slot in slots}
        dropped = undeclared & {*offer.free, *(offer.spare if named else ())}
        kept = [name for name in given if name not in dropped]
        if offer.each and not named and len(slots) == 1:
            return dict.fromkeys(kept, slots[0])
        return _match(slots, kept, "output", str(self))

    def bind(self, shapes: Shapes) -> BoundClaim:
        """Fill in what the inputs decide (degree, grid, dimension), given one sample's shape per input."""
        actions = {name: self.actions(slot) for name, slot in self.input_names(shapes).items()}
        extents, loose = Extents(), self.group()
        if isinstance(loose, Relation):
            roles = {name: chain_[0] for name, chain_ in actions.items()}
            fitted = loose.fit(shapes, roles, f"'{self}'")
            return BoundClaim(self, fitted, {name: Bound(chain_, fitted) for name, chain_ in actions.items()})
        for name, chain_ in actions.items():
            for action in chain_:
                found = _needed(action.extents(shapes[name]), loose)
                extents = extents.merge(found, f"input '{name}' of '{self}'")
        group = loose.bind(extents)
        if any(_hears_all(action, group) for chain_ in actions.values() for action in chain_):
            group = intertwined(group)
        inputs = {name: self._bound(name, chain_, group, shapes[name]) for name, chain_ in actions.items()}
        for factor in group.factors():
            if not any(part.group in (factor, group) for part in chain.from_iterable(b.parts for b in inputs.values())):
                raise ClaimError(
                    f"'{self}': no input is moved by {factor.name}",
                    where=f"it offers {', '.join(sorted(factor.faces)) or 'nothing'}; "
                    + "; ".join(f"{n}={'*'.join(map(str, a))}" for n, a in actions.items()),
                    hint="give at least one input an action that this group can perform",
                )
        self._check_translations(inputs, group)
        return BoundClaim(self, group, inputs)

    def _check_translations(self, inputs: Mapping[str, Bound], group: Group) -> None:
        """Refuse a group with translations when every input ignores them: half of the claim would go untested."""
        for factor in group.factors():
            parts = [part for part in chain.from_iterable(b.parts for b in inputs.values()) if part.group is factor]
            deaf = all("translation" not in part.action.uses for part in parts)
            if "translation" in factor.faces and parts and deaf:
                raise ClaimError(
                    f"'{self}': no input is moved by the translations of {factor.name}",
                    where=", ".join(f"{name}={'*'.join(map(str, b.actions))}" for name, b in inputs.items()),
                    hint="positions are 'points'; 'vector' only rotates, and for that SO(n) or O(n) is the claim",
                )

    def _bound(self, name: str, actions: tuple[Action, ...], group: Group, shape: tuple[int, ...]) -> Bound:
        bound = Bound(actions, group)
        for part in bound.parts:
            part.action.check(part.group, shape, f"'{name}' of '{self}'")
        return bound


@dataclass(frozen=True)
class BoundClaim:
    """A claim whose group and input actions know the sizes of the data."""

    claim: Claim
    group: Group
    inputs: Mapping[str, Bound]
    offer: Offer = OFFER

    @property
    def relation(self) -> Relation | None:
        """What stands in the place of a group, if that is no group."""
        return self.group if isinstance(self.group, Relation) else None

    def roles(self, outputs: Collection[str] = ()) -> Roles:
        """What the claim calls the inputs and the outputs."""
        slots = self.claim.output_names(outputs, self.offer) if outputs else {}
        named = {name: self.claim.actions(slot)[0] for name, slot in slots.items()}
        return Roles({name: bound.actions[0] for name, bound in self.inputs.items()}, named)

    def outputs(self, shapes: Shapes) -> dict[str, Bound]:
        """The action on each output, given one sample's shape per output."""
        bound = {}
        if self.relation is not None:
            self.relation.check_outputs(self.roles(shapes).outputs, f"'{self.claim}'")
        for name, slot in self.claim.output_names(shapes, self.offer).items():
            actions = self.claim.actions(slot)
            read = self.relation is not None and not self.relation.measures(actions[0])
            if actions[0].name != "ignore" and not read:
                bound[name] = self.claim._bound(name, actions, self.group, shapes[name])
        if not bound:
            raise ClaimError(
                f"'{self.claim}' ignores every output",
                where=", ".join(shapes),
                hint="declare an action for at least one output",
            )
        return bound


def _needed(extents: Extents, group: Group) -> Extents:
    """Only the facts that some factor of the group depends on."""
    faces = frozenset().union(*(factor.faces for factor in group.factors()))
    if "permutation" not in faces:
        extents = replace(extents, degree=None)
    return extents if "shift" in faces else replace(extents, grid=None, reach=None)


def _hears_all(action: Action, group: Group) -> bool:
    """Whether one action is moved by two factors at once, which then need not commute."""
    return not action.whole and sum(bool(action.uses & factor.faces) for factor in group.factors()) > 1


def _match(slots: tuple[Slot, ...], given: list[str], kind: str, claim: str) -> dict[str, Slot]:
    named = {slot.name: slot for slot in slots if slot.name}
    if not named:
        if len(slots) != len(given):
            raise DataError(
                f"'{claim}' declares {len(slots)} {kind}(s), but there are {len(given)}: {', '.join(given)}",
                where=f"the {kind}s of the claim",
                hint=f"name each one, e.g. {_declared(given, given, kind)}",
            )
        return dict(zip(given, slots, strict=True))
    unknown = [name for name in named if name not in given]
    missing = [name for name in given if name not in named]
    if unknown or missing:
        parts = [f"does not declare the {kind}(s) {', '.join(missing)}"] if missing else []
        parts += [f"declares {', '.join(map(str, unknown))}, which the subject does not have"] if unknown else []
        hint = f"add {_declared(missing, given, kind)}" if missing else f"use the names above for the {kind}s"
        lacking = [name for name in unknown if not str(named[name]).endswith("=ignore")]
        if kind == "input" and lacking and not missing:
            hint = f"give data for it: -i '{lacking[0]}=normal(5,3)', or -i '{lacking[0]}=integers(3,5)', for example"
        if missing and len(given) == len(slots) == 1:
            action = str(slots[0]).partition("=")[2]
            hint = f"write {action} without a name, or call the {kind} {slots[0].name}, as in {{'{slots[0].name}': x}}"
        raise DataError(f"'{claim}' {' and '.join(parts)}", where=f"the {kind}s are: {', '.join(given)}", hint=hint)
    return {name: named[name] for name in given}


def _declared(names: list[str], given: list[str], kind: str) -> str:
    """How some of the given names could be declared."""
    slots = ", ".join(f"{name}=scalar" for name in names) + " (or the right action)"
    ignored = {"input": "keeps it from the model (labels)", "output": "leaves it out"}[kind]
    return f"{slots}; {names[-1]}=ignore {ignored}" if len(given) > 1 else slots
