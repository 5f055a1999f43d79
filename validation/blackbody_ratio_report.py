"""Tables and figure of the flux ratios of blackbodies; see `blackbody_ratio.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from mixjobs.typing import Floats
from validation.trials import Trial, select, table

Positions = Mapping[tuple[str, float], int]

GROUP = ("orders", "truth", "degree", "teff_2")
COLOURS = {"tables": "C0", "blackbody": "C3"}
LABELS = {"tables": "q from the library", "blackbody": "q from blackbodies"}


def report(results: Sequence[Trial]) -> str:
    """Write the tables: optima without noise, posteriors with noise, and pairs of fits."""
    quiet = [t for t in results if t["seed"] is None]
    noisy = [t for t in results if t["seed"] is not None]
    return f"{without_noise(quiet)}\n\n{with_noise(noisy)}\n\n{pairs(noisy)}"


def groups(results: Sequence[Trial]) -> list[Trial]:
    """Return what distinguishes the rows of the tables, in the order of the trials."""
    rows = dict.fromkeys(tuple(t[k] for k in GROUP) for t in results)
    return [dict(zip(GROUP, row, strict=True)) for row in rows]


def first_cells(group: Trial) -> list[str]:
    """Write the first cells of a row."""
    return [group["orders"], group["truth"], str(group["degree"]), f"{group['teff_2']:.0f}"]


def without_noise(results: Sequence[Trial]) -> str:
    """Write a table of the optimum minus the truth."""
    rows = []
    for group in groups(results):
        both = {t["q"]: t for t in select(results, **group)}
        cells = []
        for q in COLOURS:
            if q in both:
                offset = np.array(both[q]["best"][:-1]) - both[q]["truth_at"]
                index = both[q]["names"].index
                cells += [f"{offset[index('c')]:+.3f}", f"{offset[index('teff_2')]:+.0f}"]
        if len(both) == len(COLOURS):
            change = both["blackbody"]["best"][-1] + log_p_at_truth(both)
            rows.append([*first_cells(group), *cells, f"{change:+.1f}"])
    names = [f"{what}, {q}" for q in COLOURS for what in ("c", "Teff_2")]
    return table(("orders", "truth", "degree", "Teff_2, K", *names, "ln P, blackbody"), rows)


def log_p_at_truth(both: Mapping[str, Trial]) -> float:
    """Return ln P at the truth with blackbodies minus that at the optimum with the library's q."""
    return both["blackbody"]["at_truth"] - both["tables"]["at_truth"] - both["tables"]["best"][-1]


def column(results: Sequence[Trial], key: str, name: str) -> Floats:
    """Return one statistic of one parameter of every fit."""
    values: Floats = np.array([t[key][t["names"].index(name)] for t in results])
    return values


def mean_and_error(values: Floats, form: str) -> str:
    """Write a mean and its standard error."""
    error = values.std() / np.sqrt(max(1, len(values) - 1))
    return f"{values.mean():+{form}} ± {error:{form}}"


def with_noise(results: Sequence[Trial]) -> str:
    """Write a table of posterior means minus the truth, in their units and in stated sigmas."""
    rows = []
    for group in groups(results):
        for q in COLOURS:
            fits = select(results, q=q, **group)
            cells = [q, str(len(fits))]
            for name, form in (("c", ".3f"), ("teff_2", ".0f")):
                truth, sd = column(fits, "truth_at", name), column(fits, "sd", name)
                offset = column(fits, "mean", name) - truth
                inside = (column(fits, "low", name) <= truth) & (
                    truth <= column(fits, "high", name)
                )
                cells += [
                    mean_and_error(offset, form), f"{np.median(sd):{form}}",
                    f"{(offset / sd).mean():+.1f}", f"{inside.sum()} of {len(fits)}",
                ]  # fmt: skip
            rows.append([*first_cells(group), *cells])
    names = [f"{w}{n}" for n in ("c", "Teff_2, K") for w in ("bias of ", "σ of ")]
    names = [*names[:2], "in σ", "in 95 %", *names[2:], "in σ", "in 95 %"]
    return table(("orders", "truth", "degree", "Teff_2, K", "q", "fits", *names), rows)


def pairs(results: Sequence[Trial]) -> str:
    """Write a table of the differences between the two fits of the same data."""
    rows = []
    for group in groups(results):
        fits = select(results, **group)
        seeds = {t["seed"] for t in fits if t["q"] == "tables"}
        seeds &= {t["seed"] for t in fits if t["q"] == "blackbody"}
        if not seeds:
            continue
        library, blackbody = (
            [select(fits, q=q, seed=seed)[0] for seed in sorted(seeds)] for q in COLOURS
        )
        cells = [
            mean_and_error(column(blackbody, key, name) - column(library, key, name), form)
            for key, name, form in (
                ("mean", "c", ".3f"), ("mean", "teff_2", ".0f"), ("mean", "ln_noise", ".3f"),
            )
        ]  # fmt: skip
        log_p = np.array([b["log_p"] - a["log_p"] for a, b in zip(library, blackbody, strict=True)])
        rows.append([*first_cells(group), str(len(seeds)), *cells, mean_and_error(log_p, ".1f")])
    names = ("pairs", "c", "Teff_2, K", "ln noise", "ln P at best")
    return table(("orders", "truth", "degree", "Teff_2, K", *names), rows)


def figure(results: Sequence[Trial], ratios: Mapping[float, Floats], path: Path) -> None:
    """Draw the error of q, and the errors of c and Teff_2 that follow from it."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    draw_ratios(axes[0], ratios)
    degree, truth = results[0]["degree"], results[0]["truth"]
    shown = [t for t in results if (t["degree"], t["truth"]) == (degree, truth)]
    sampled = {(t["orders"], t["teff_2"]) for t in shown if t["seed"] is not None}
    positions = {kind: x for x, kind in enumerate(sorted(sampled, key=lambda k: k[::-1]))}
    ticks = [f"{teff_2:.0f} K, {orders}".replace(", ", ",\n") for orders, teff_2 in positions]
    shown = [t for t in shown if (t["orders"], t["teff_2"]) in positions]
    for name, axis in (("c", axes[1]), ("teff_2", axes[2])):
        draw_fits(axis, [t for t in shown if t["seed"] is not None], name, positions)
        draw_optima(axis, [t for t in shown if t["seed"] is None], name, positions)
        axis.axhline(0, color="k", lw=0.8)
        axis.set_xticks(range(len(positions)), ticks, fontsize=7)
    axes[1].set(ylabel="c minus truth")
    axes[2].set(ylabel="Teff of the spot minus truth, K")
    axes[2].margins(y=0.2)
    axes[2].legend(fontsize=6.5, ncols=2, loc="upper center")
    fig.savefig(path, dpi=130)
    plt.close(fig)


def draw_ratios(axis: Any, ratios: Mapping[float, Floats]) -> None:
    """Draw the flux ratio of blackbodies over the true q."""
    middle = ratios[0.0]
    for teff_2, ratio in ratios.items():
        if teff_2:
            axis.plot(middle, ratio, "o-", ms=3, label=f"{teff_2:.0f} K")
    axis.axhline(1, color="k", lw=0.8)
    axis.set(xlabel="wavelength, µm", ylabel="q of blackbodies / true q", xscale="log")
    axis.set_xticks([0.8, 1, 1.5, 2, 3, 4], ["0.8", "1", "1.5", "2", "3", "4"])
    axis.minorticks_off()
    axis.legend(fontsize=7, title="spot on 3900 K", title_fontsize=7)


def draw_fits(axis: Any, results: Sequence[Trial], name: str, positions: Positions) -> None:
    """Draw the mean and standard deviation of every posterior."""
    for (q, colour), side in zip(COLOURS.items(), (-1, 1), strict=True):
        fits = select(results, q=q)
        x = [positions[t["orders"], t["teff_2"]] + side * (0.1 + 0.03 * t["seed"]) for t in fits]
        y = column(fits, "mean", name) - column(fits, "truth_at", name)
        style = {"fmt": "o", "ms": 3, "lw": 0.8, "color": colour, "label": LABELS[q]}
        axis.errorbar(x, y, column(fits, "sd", name), **style)


def draw_optima(axis: Any, results: Sequence[Trial], name: str, positions: Positions) -> None:
    """Draw the optimum without noise."""
    for q, colour in COLOURS.items():
        fits = select(results, q=q)
        x = [positions[t["orders"], t["teff_2"]] for t in fits]
        y = column(fits, "best", name) - column(fits, "truth_at", name)
        label = f"{LABELS[q]}, without noise"
        axis.plot(x, y, "D", color=colour, mec="k", ms=6, label=label)
