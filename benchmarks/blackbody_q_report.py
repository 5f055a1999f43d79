"""Tables and figure of the evidence on q from black bodies; see `blackbody_q.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.trials import Trial, chosen, table
from mixjobs.typing import Floats

Places = Mapping[tuple[str, float], int]

GROUP = ("orders", "truth", "degree", "teff_2")
COLOURS = {"tables": "C0", "blackbody": "C3"}
LABELS = {"tables": "q from the tables", "blackbody": "q from black bodies"}


def report(found: Sequence[Trial]) -> str:
    """Write both tables: without noise, and posteriors with noise."""
    quiet = [t for t in found if t["seed"] is None]
    noisy = [t for t in found if t["seed"] is not None]
    return f"{without_noise(quiet)}\n\n{with_noise(noisy)}\n\n{pairs(noisy)}"


def groups(found: Sequence[Trial]) -> list[Trial]:
    """What distinguishes rows of the tables, in the order of the trials."""
    rows = dict.fromkeys(tuple(t[k] for k in GROUP) for t in found)
    return [dict(zip(GROUP, row, strict=True)) for row in rows]


def said(group: Trial) -> list[str]:
    """Write the first cells of a row."""
    return [group["orders"], group["truth"], str(group["degree"]), f"{group['teff_2']:.0f}"]


def without_noise(found: Sequence[Trial]) -> str:
    """Table of how far the optimum is from the truth."""
    rows = []
    for group in groups(found):
        both = {t["q"]: t for t in chosen(found, **group)}
        cells = []
        for q in COLOURS:
            if q in both:
                off = np.array(both[q]["best"][:-1]) - both[q]["truth_at"]
                place = both[q]["names"].index
                cells += [f"{off[place('c')]:+.3f}", f"{off[place('teff_2')]:+.0f}"]
        if len(both) == len(COLOURS):
            fall = both["blackbody"]["best"][-1] + log_p_at_truth(both)
            rows.append([*said(group), *cells, f"{fall:+.1f}"])
    names = [f"{what}, {q}" for q in COLOURS for what in ("c", "Teff_2")]
    return table(("orders", "truth", "degree", "Teff_2, K", *names, "ln P, black body"), rows)


def log_p_at_truth(both: Mapping[str, Trial]) -> float:
    """ln P at the truth with black bodies, less that at the optimum with the tables."""
    return both["blackbody"]["at_truth"] - both["tables"]["at_truth"] - both["tables"]["best"][-1]


def column(found: Sequence[Trial], what: str, name: str) -> Floats:
    """One number of one parameter of every fit."""
    values: Floats = np.array([t[what][t["names"].index(name)] for t in found])
    return values


def mean_and_error(values: Floats, form: str) -> str:
    """Write a mean and its standard error."""
    error = values.std() / np.sqrt(max(1, len(values) - 1))
    return f"{values.mean():+{form}} ± {error:{form}}"


def with_noise(found: Sequence[Trial]) -> str:
    """Table of posterior means minus the truth, in their units and in the stated sigmas."""
    rows = []
    for group in groups(found):
        for q in COLOURS:
            some = chosen(found, q=q, **group)
            cells = [q, str(len(some))]
            for name, form in (("c", ".3f"), ("teff_2", ".0f")):
                truth, sd = column(some, "truth_at", name), column(some, "sd", name)
                off = column(some, "mean", name) - truth
                inside = (column(some, "low", name) <= truth) & (
                    truth <= column(some, "high", name)
                )
                cells += [
                    mean_and_error(off, form), f"{np.median(sd):{form}}",
                    f"{(off / sd).mean():+.1f}", f"{inside.sum()} of {len(some)}",
                ]  # fmt: skip
            rows.append([*said(group), *cells])
    names = [f"{w}{n}" for n in ("c", "Teff_2, K") for w in ("bias of ", "σ of ")]
    names = [*names[:2], "in σ", "in 95 %", *names[2:], "in σ", "in 95 %"]
    return table(("orders", "truth", "degree", "Teff_2, K", "q", "fits", *names), rows)


def pairs(found: Sequence[Trial]) -> str:
    """Table of the differences between the two fits of the same noise."""
    rows = []
    for group in groups(found):
        some = chosen(found, **group)
        seeds = {t["seed"] for t in some if t["q"] == "tables"}
        seeds &= {t["seed"] for t in some if t["q"] == "blackbody"}
        if not seeds:
            continue
        ours, theirs = (
            [chosen(some, q=q, seed=seed)[0] for seed in sorted(seeds)] for q in COLOURS
        )
        cells = [
            mean_and_error(column(theirs, what, name) - column(ours, what, name), form)
            for what, name, form in (
                ("mean", "c", ".3f"), ("mean", "teff_2", ".0f"), ("mean", "ln_noise", ".3f"),
            )
        ]  # fmt: skip
        log_p = np.array([b["log_p"] - a["log_p"] for a, b in zip(ours, theirs, strict=True)])
        rows.append([*said(group), str(len(seeds)), *cells, mean_and_error(log_p, ".1f")])
    names = ("pairs", "c", "Teff_2, K", "ln noise", "ln P at best")
    return table(("orders", "truth", "degree", "Teff_2, K", *names), rows)


def figure(found: Sequence[Trial], ratios: Mapping[float, Floats], path: Path) -> None:
    """Draw what is wrong with q, and what comes of it."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    draw_ratios(axes[0], ratios)
    degree, truth = found[0]["degree"], found[0]["truth"]
    shown = [t for t in found if (t["degree"], t["truth"]) == (degree, truth)]
    sampled = {(t["orders"], t["teff_2"]) for t in shown if t["seed"] is not None}
    places = {kind: place for place, kind in enumerate(sorted(sampled, key=lambda k: k[::-1]))}
    ticks = [f"{teff_2:.0f} K, {orders}".replace(", ", ",\n") for orders, teff_2 in places]
    shown = [t for t in shown if (t["orders"], t["teff_2"]) in places]
    for name, axis in (("c", axes[1]), ("teff_2", axes[2])):
        draw_fits(axis, [t for t in shown if t["seed"] is not None], name, places)
        draw_optima(axis, [t for t in shown if t["seed"] is None], name, places)
        axis.axhline(0, color="k", lw=0.8)
        axis.set_xticks(range(len(places)), ticks, fontsize=7)
    axes[1].set(ylabel="c minus truth")
    axes[2].set(ylabel="Teff of the spot minus truth, K")
    axes[2].margins(y=0.2)
    axes[2].legend(fontsize=6.5, ncols=2, loc="upper center")
    fig.savefig(path, dpi=130)
    plt.close(fig)


def draw_ratios(axis: Any, ratios: Mapping[float, Floats]) -> None:
    """Draw the ratio of black bodies over the true q."""
    middle = ratios[0.0]
    for teff_2, ratio in ratios.items():
        if teff_2:
            axis.plot(middle, ratio, "o-", ms=3, label=f"{teff_2:.0f} K")
    axis.axhline(1, color="k", lw=0.8)
    axis.set(xlabel="wavelength, µm", ylabel="ratio of black bodies / true q", xscale="log")
    axis.set_xticks([0.8, 1, 1.5, 2, 3, 4], ["0.8", "1", "1.5", "2", "3", "4"])
    axis.minorticks_off()
    axis.legend(fontsize=7, title="spot on 3900 K", title_fontsize=7)


def draw_fits(axis: Any, found: Sequence[Trial], name: str, places: Places) -> None:
    """Draw every posterior's mean and standard deviation."""
    for (q, colour), side in zip(COLOURS.items(), (-1, 1), strict=True):
        some = chosen(found, q=q)
        x = [places[t["orders"], t["teff_2"]] + side * (0.1 + 0.03 * t["seed"]) for t in some]
        y = column(some, "mean", name) - column(some, "truth_at", name)
        style = {"fmt": "o", "ms": 3, "lw": 0.8, "color": colour, "label": LABELS[q]}
        axis.errorbar(x, y, column(some, "sd", name), **style)


def draw_optima(axis: Any, found: Sequence[Trial], name: str, places: Places) -> None:
    """Draw the optimum without noise."""
    for q, colour in COLOURS.items():
        some = chosen(found, q=q)
        x = [places[t["orders"], t["teff_2"]] for t in some]
        y = column(some, "best", name) - column(some, "truth_at", name)
        label = f"{LABELS[q]}, without noise"
        axis.plot(x, y, "D", color=colour, mec="k", ms=6, label=label)
