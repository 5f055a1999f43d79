"""Print the table of docs/faults.md: ``python -m tests.helpers.fault_table [SEEDS]``.

In each run, one process of a job is killed at a random moment. A run takes some seconds, and all of
them a quarter of an hour on two free cores.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

import mixjobs
from tests.helpers.killing import ORDERS, VICTIMS, Cluster, large_library, strike


def main(seeds):
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name)) as cluster:
        folder = Path(name)
        library = large_library(folder)
        reference = mixjobs.build(library, ORDERS, folder / "reference.zarr")
        print("| killed | runs | ended by itself | resumed | same values ", end="")
        print("| blocks lost | seconds to recover |\n|---|---|---|---|---|---|---|")
        for victim in VICTIMS:
            runs = []
            for seed in range(seeds):
                path = folder / f"{victim}-{seed}.zarr"
                outcome = strike(cluster, victim, seed, library, path)
                print(f"{victim} {seed}: {outcome}", file=sys.stderr, flush=True)
                runs.append((outcome, same(mixjobs.open_store(path), reference)))
            print(row(victim, runs), flush=True)


def same(store, reference):
    """Whether two stores have the same values, bit for bit."""
    means = store.mean_flux.tobytes() == reference.mean_flux.tobytes()
    return means and store.flux_ratio[...].tobytes() == reference.flux_ratio[...].tobytes()


def row(victim, runs):
    """A row of the table, of outcomes with whether the values are the same."""
    outcomes = [outcome for outcome, _ in runs]
    by_itself = sum(not o.resumed and o.first[0] == 0 for o in outcomes)
    resumed = sum(o.resumed and o.last[0] == 0 for o in outcomes)
    right = sum(is_same for _, is_same in runs)
    cells = (victim, len(runs), by_itself, resumed, right)
    lost = spread([o.twice for o in outcomes], "{:.0f}")
    recovery = spread([o.recovery for o in outcomes if o.recovery is not None], "{:.2g}")
    return f"| {' | '.join(map(str, cells))} | {lost} | {recovery} |"


def spread(values, form):
    """The median and the worst of some values."""
    if not values:
        return "none"
    return f"{form.format(median(values))}, at worst {form.format(max(values))}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
