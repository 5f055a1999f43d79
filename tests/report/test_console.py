"""Tables printed in a terminal."""

import io

import numpy as np
import pytest
from rich.console import Console

from mixjobs.model.ratio_errors import HeldOutErrors
from mixjobs.orders import Orders
from mixjobs.report import store as tables
from mixjobs.report.console import print_facts
from mixjobs.store.invariants import Invariant

ORDERS = Orders([21, 23], [5000, 5500], [5600, 6100.126])


def text_of(table):
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    return console.file.getvalue()


def cells(table):
    """The stripped cells of each row."""
    rows = [line.strip("│┃ ").replace("┃", "│") for line in text_of(table).splitlines()]
    return [[cell.strip() for cell in row.split("│")] for row in rows if "│" in row]


def test_ratio_table():
    q, direct = np.array([1.25, 0.123456789]), np.array([1.25, 0.1234562])
    assert cells(tables.ratio_table(ORDERS, q, direct)) == [
        ["order", "from (Å)", "to (Å)", "flux ratio q", "not interpolated"],
        ["21", "5000.00", "5600.00", "1.250000", "1.250000"],
        ["23", "5500.00", "6100.13", "0.123457", "0.123456"],
    ]
    assert cells(tables.ratio_table(ORDERS, q, None))[1] == ["21", "5000.00", "5600.00", "1.250000"]


def test_invariants_table():
    rows = cells(
        tables.invariants_table([Invariant("one", 2e-16, 1e-14), Invariant("two", 0.5, 1e-14)])
    )
    assert rows[1:] == [["one", "2.0e-16", "1e-14", "yes"], ["two", "5.0e-01", "1e-14", "NO"]]


def test_an_invariant_with_a_nan_deviation_does_not_hold():
    assert cells(tables.invariants_table([Invariant("one", np.nan, 1e-14)]))[1][-1] == "NO"


@pytest.fixture
def results():
    error = np.array([[0.01, 0.02, 0.03, np.nan], [0.1, 0.1, 0.1, np.nan]])
    return [
        HeldOutErrors("teff", "cubic", error),
        HeldOutErrors("teff", "linear", 2 * error),
        HeldOutErrors("logg", "cubic", error[:, :3]),
    ]


def test_held_out_table(results):
    rows = cells(tables.held_out_table(results))
    assert rows[0] == [
        "axis held out", "method", "median", "95th percentile", "points", "no prediction",
    ]  # fmt: skip
    assert rows[1] == ["teff", "cubic", "6.50e-02", "1.00e-01", "4", "1"]
    assert rows[3] == ["logg", "cubic", "6.50e-02", "1.00e-01", "3", "0"]


def test_held_out_by_order(results):
    teff, logg = tables.held_out_by_order(results, ORDERS)
    assert "teff held out: median / 95th percentile, %" in text_of(teff)
    assert cells(teff) == [
        ["order", "cubic", "linear"], ["21", "2 / 2.9", "4 / 5.8"], ["23", "10 / 10", "20 / 20"],
    ]  # fmt: skip
    assert cells(logg)[0] == ["order", "cubic"]


def test_facts(capsys):
    print_facts(
        {
            "kind": "library",
            "axes": {"teff": [5000.0, 5100.0], "feh": [0.1 * k for k in range(12)]},
            "holes": [],
            "raw": True,
            "medium": None,
            "orders": list(range(30)),
        }
    )
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "kind library",
        "axis teff 2 values: 5000, 5100",
        "axis feh 12 values: 0, 0.1, 0.2, 0.3, 0.4, 0.5, ..., 1.1",
        "holes none",
        "raw fluxes yes",
        "orders 0, 1, 2, 3, 4, 5, ..., 29",
    ]
