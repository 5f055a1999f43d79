"""The `repr` of objects, their tables in notebooks, and their `plot` attribute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, in the singular or the plural.

    Examples
    --------
    >>> counted(1, "order"), counted(2, "order"), counted(0, "hole"), counted(2, "process")
    ('1 order', '2 orders', '0 holes', '2 processes')
    """
    ending = "" if n == 1 else "es" if noun.endswith("s") else "s"
    return f"{n} {noun}{ending}"


def text_summary(title: str, facts: Mapping[str, object]) -> str:
    """List the properties of an object, one per line.

    Examples
    --------
    >>> print(text_summary("Grid", {"points": 36, "teff": "5600 to 6200 (4 values)"}))
    <Grid>
      points  36
      teff    5600 to 6200 (4 values)
    """
    width = max((len(name) for name in facts), default=0)
    return "\n".join(
        [f"<{title}>", *(f"  {name:{width}}  {fact_text(fact)}" for name, fact in facts.items())]
    )


def html_summary(title: str, facts: Mapping[str, object]) -> str:
    """List the properties of an object in an HTML table, for a notebook."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(fact_text(fact))}</td></tr>"
        for name, fact in facts.items()
    )
    return f"<table><caption><b>{escape(title)}</b></caption>{rows}</table>"


def fact_text(fact: object) -> str:
    """Return a fact as text; a path within the working directory is shown relative to it."""
    if isinstance(fact, Path) and Path.cwd() in fact.parents:
        return str(fact.relative_to(Path.cwd()))
    return str(fact)


class Summarised:
    """Mixin: `repr` is a short summary. A class defines `_facts`, and may override `_title`."""

    @property
    def _title(self) -> str:
        return type(self).__name__

    def _facts(self) -> Mapping[str, object]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return text_summary(self._title, self._facts())

    def _repr_html_(self) -> str:
        return html_summary(self._title, self._facts())


class Figures(Summarised):
    """Base of a class whose methods draw figures: `repr` lists them."""

    def _facts(self) -> Mapping[str, object]:
        names = [name for name in vars(type(self)) if not name.startswith("_")]
        methods = {f".{name}()": getattr(self, name) for name in names}
        calls = {"()": type(self).__call__, **methods}
        return {
            f"plot{name}": (method.__doc__ or "").partition("\n")[0]
            for name, method in calls.items()
        }

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Draw the default figure."""
        raise NotImplementedError


class PlotAccessor:
    """The attribute `plot` of a class, which takes its figures from a module of `mixjobs.report`.

    The module is imported on first use, because matplotlib is slow to import, and because the
    layers below `report` must not depend on it.

    Parameters
    ----------
    module : str
        Full name of the module.
    name : str
        Name of the class in that module. It is called with the object; its methods draw.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the figures of an object; on the class, the accessor itself."""
        if instance is None:
            return self
        plots: Callable[[Any], Any] = getattr(import_module(self._module), self._name)
        return plots(instance)
