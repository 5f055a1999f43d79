"""Figures of the evidence: ``python -m benchmarks.evidence_figures [--out FOLDER]``.

Draws what `benchmarks.calibration` and `benchmarks.nodes` have left in FOLDER so far, and prints
their tables: calibration_ranks.png and nodes.png, in FOLDER.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from benchmarks import calibration, nodes
from benchmarks.simulated import arguments, read

Results = Sequence[dict[str, Any]]
COLOURS = {"on": "tab:blue", "off": "tab:red", True: "tab:blue", False: "tab:red"}
LABELS = {"teff_1": "Teff 1", "teff_2": "Teff 2", "feh": "[Fe/H]", "ln_noise": "ln noise"}
METHODS = ("linear", "cubic")


def draw_ranks(results: Results) -> Figure:
    """Histograms of the truth's rank: a row with the emulator's term and one without."""
    names = list(results[0]["star"])
    figure = Figure(figsize=(1.7 * len(names), 4.2), layout="constrained")
    rows = figure.subplots(2, len(names), sharex=True, sharey=True)
    low, high = stats.binom.ppf([0.005, 0.995], len(results), 1 / calibration.BINS)
    for row, setting in zip(rows, calibration.SETTINGS, strict=True):
        ranks = calibration.ranks(results, setting)
        for p, (axes, name) in enumerate(zip(row, names, strict=True)):
            axes.axhspan(low, high, color="0.88")
            axes.axhline(len(results) / calibration.BINS, color="0.5", lw=0.8)
            counts, edges = np.histogram(ranks[:, p], calibration.BINS, (0, 1))
            axes.stairs(counts, edges, color=COLOURS[setting], fill=True, alpha=0.8)
            axes.set_title(LABELS.get(name, name), fontsize=10)
        row[0].set_ylabel(f"stars, emulator term {setting}")
    figure.supxlabel("rank of the truth among the samples", fontsize=10)
    return figure


def draw_nodes(results: Results, exact: Results) -> Figure:
    """Where in the cell the posterior of teff_2 is, and errors of teff_2 and c by the truth's."""
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    rows = figure.subplots(2, 3, sharex=True, sharey="col")
    for row, method in zip(rows, METHODS, strict=True):
        row[0].set_ylabel(f"{method}: posterior density of teff_2")
        row[0].axhline(1, color="0.5", lw=0.8)
        for error in (False, True):
            setting = nodes.key(method, error)
            density = np.mean([r["fits"][setting]["folded"] for r in results], axis=0)
            edges = np.linspace(0, 1, nodes.BINS + 1)
            row[0].stairs(density * nodes.BINS, edges, color=COLOURS[error], label=setting)
            for axes, name, unit in ((row[1], "teff_2", " (K)"), (row[2], "c", "")):
                errors_by_place(axes, results, setting, name, "o", COLOURS[error])
                errors_by_place(axes, exact, setting, name, "x", COLOURS[error])
                axes.set_ylabel(f"{method}: error of {name}{unit}")
        row[0].legend(fontsize=8, loc="lower center")
    for axes in rows[-1]:
        axes.set_xlabel("place in the cell of teff_2 (0, 1: nodes)")
    return figure


def errors_by_place(
    axes: Axes, results: Results, setting: str, name: str, marker: str, colour: str
) -> None:
    """Posterior mean, or optimum, less truth, with the standard deviation, by place in the cell."""
    place = nodes.place_in_cell(nodes.found(results, setting, "teff_2")[0])
    truth, mean, sd = nodes.found(results, setting, name)
    axes.axhline(0, color="0.5", lw=0.8)
    moved = place + (0.008 if "without" in setting else -0.008)
    axes.errorbar(
        moved, mean - truth, sd if sd.any() else None, fmt=marker, ms=4, lw=0.6, color=colour
    )


def main() -> None:
    """Draw and print what there is."""
    given = arguments("evidence_figures", "Figures and tables of what has been run")
    small = "_small" if given.small else ""
    kept = given.out / f"calibration{small}" / "results.jsonl"
    if stars := read(kept):
        draw_ranks(stars).savefig(given.out / f"calibration_ranks{small}.png", dpi=90)
        print(calibration.report(stars), end="\n\n")
    folder = given.out / f"nodes{small}"
    stars, exact = read(folder / "results.jsonl"), read(folder / "exact.jsonl")
    if stars and exact:
        draw_nodes(stars, exact).savefig(given.out / f"nodes{small}.png", dpi=90)
        print(nodes.report(stars, exact))


if __name__ == "__main__":
    main()
