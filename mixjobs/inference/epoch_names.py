"""Names of parameters that differ between epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mixjobs.errors import InvalidInput
from mixjobs.inference.expressions import (
    Below,
    Rule,
    Tie,
    check_name,
    of_components,
    read_constraint,
)


class ParameterPlace(NamedTuple):
    """A parameter, its name without the epoch's suffix, and the epoch's index.

    The epoch is None for a parameter that all epochs share.
    """

    name: str
    base_name: str
    epoch: int | None


@dataclass(frozen=True)
class EpochNames:
    """Names of the parameters without the suffix of an epoch, and of each epoch."""

    base: tuple[str, ...]
    by_epoch: tuple[tuple[str, ...], ...]

    @classmethod
    def make(cls, base_names: Sequence[str], per_epoch: Sequence[str], n_epochs: int) -> EpochNames:
        """Add the suffix of the epoch to the parameters that differ between epochs."""
        varied = []
        for name in per_epoch:
            components = of_components(name, base_names)
            if not components:
                check_name(name, base_names, "per_epoch")
            varied += components
        base = tuple(base_names)
        if n_epochs == 1:
            return cls(base, (base,))
        suffixes = [f"_e{e}" for e in range(1, n_epochs + 1)]
        return cls(base, tuple(tuple(n + s if n in varied else n for n in base) for s in suffixes))

    def __iter__(self) -> Iterator[ParameterPlace]:
        """Iterate over all parameters, each once: by name, then by epoch."""
        for base_name, *names in zip(self.base, *self.by_epoch, strict=True):
            if names[0] == base_name:
                yield ParameterPlace(base_name, base_name, None)
                continue
            for epoch, name in enumerate(names):
                yield ParameterPlace(name, base_name, epoch)

    @property
    def of_all_epochs(self) -> list[str]:
        """All parameters of all epochs; shared ones are repeated."""
        return [name for names in self.by_epoch for name in names]

    def in_epoch(self, name: str, epoch: int | None, context: str) -> str:
        """Return the full name of a parameter in an epoch; None allows only shared parameters."""
        if name in self.of_all_epochs:
            return name
        check_name(name, [*self.of_all_epochs, *self.base], context)
        full_name = self.by_epoch[epoch or 0][self.base.index(name)]
        if epoch is None:
            raise InvalidInput(
                f"{context}: each epoch has its own {name}; name one of them, such as {full_name}",
                name=name,
            )
        return full_name

    def in_rule(self, rule: Rule, name: str, epoch: int | None) -> Rule:
        """Direct a tie at the parameter of the same epoch; other rules stay unchanged."""
        if not isinstance(rule, Tie):
            return rule
        return replace(rule, name=self.in_epoch(rule.name, epoch, f"{name} = {rule}"))

    def in_constraints(self, constraints: Sequence[str]) -> tuple[Below, ...]:
        """Read constraints, and apply those on parameters of each epoch to every epoch."""
        below = []
        for text in constraints:
            constraint, context = read_constraint(text), f"constraint {text!r}"
            for epoch in range(len(self.by_epoch)):
                lesser = self.in_epoch(constraint.lesser, epoch, context)
                below.append(Below(lesser, self.in_epoch(constraint.greater, epoch, context)))
        return tuple(dict.fromkeys(below))
