"""Holes within the priors, and posteriors that end at one."""

import json

import numpy as np
import pytest

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.inference.defaults import ModelDomain
from mixjobs.inference.holes import HoleReport, posterior_holes, prior_holes
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import Uniform
from mixjobs.interpolation import interpolation
from mixjobs.interpolation.filling import fill_holes
from mixjobs.model.layout import lay_out
from mixjobs.model.library_model import LibraryModel
from tests.helpers.drawn import lattice

TEFF, LOGG = np.arange(2600.0, 3401.0, 100.0), np.array([4.0, 4.5, 5.0])
FULL = lattice(TEFF, LOGG)
MISSING = ([3000.0, 4.0], [3000.0, 5.0])
HOLED = FULL.take([i for i, point in enumerate(FULL.points.tolist()) if point not in MISSING])
ALL_HOLES = ({"teff": 3000.0, "logg": 4.0}, {"teff": 3000.0, "logg": 5.0})


def library_model(grid, fill):
    filling = fill_holes(grid, np.sin(grid.points / 1000)) if fill else None
    between = interpolation(grid, "cubic", filling)
    return LibraryModel(f"library {id(grid)}", grid, between, [], filling)


def domain_of(*grids, shared=("logg",), fill=False):
    sources = tuple(library_model(grid, fill) for grid in grids)
    layout = lay_out([source.names for source in sources], [*shared, "vsini", "rv"], "c", {})
    return ModelDomain(layout, sources, (0.0,))


def parameters_of(domain, settings=None, **options):
    defaults = {"teff": Uniform(2600, 3400), "logg": Uniform(4, 5), "c": Uniform(0, 1)}
    defaults |= {f"teff_{k}": defaults["teff"] for k in (1, 2)}
    defaults |= {f"logg_{k}": defaults["logg"] for k in (1, 2)}
    settings = {"vsini": 5.0, "rv": 0.0, **(settings or {})}
    return make_parameters(domain.names, defaults, settings, **options)


def reports_of(settings=None, grids=(HOLED,), fill=False, **options):
    domain = domain_of(*grids, fill=fill)
    return prior_holes(parameters_of(domain, settings, **options), domain)


def test_a_complete_grid_is_not_reported():
    assert reports_of(grids=(FULL,)) == ()


def test_the_fraction_of_a_uniform_prior_is_that_of_its_cells():
    (report,) = reports_of()
    assert report.fraction == pytest.approx(4 / 16, abs=0.01)  # 2 x 2 of 8 x 2 cells
    assert (report.component, report.of) == (0, "prior")
    assert (report.n_points, report.n_fillable, report.error) == (2, 2, None)
    assert sorted(report.points, key=lambda point: point["logg"]) == list(ALL_HOLES)


def test_only_holes_within_the_prior_are_named():
    (report,) = reports_of({"logg": {"uniform": [4.6, 5.0]}, "teff": {"uniform": [2700, 3100]}})
    assert report.points == (ALL_HOLES[1],)
    assert report.fraction == pytest.approx(1 / 2, abs=0.01)
    assert reports_of({"logg": 4.5}) == ()  # an edge with all its grid points
    assert reports_of({"teff": {"uniform": [3100, 3400]}}) == ()


def test_a_prior_that_is_normal_counts_by_its_probability():
    (report,) = reports_of({"teff": {"normal": [3100, 100]}, "logg": 5.0})
    assert report.fraction == pytest.approx(0.5 - 0.02275, abs=0.01)  # 2900 to 3100


def test_constraints_and_components_are_taken_into_account():
    """Uniform teff_2 < teff_1: each has the density of the smaller or larger of two draws."""
    uniform = {"uniform": [2800, 3400]}
    one, two = reports_of(
        {"teff_1": uniform, "teff_2": uniform}, (HOLED, HOLED), constraints=["teff_2 < teff_1"]
    )
    u = (np.array([2900.0, 3100.0]) - 2800) / 600
    larger, smaller = np.diff(u**2)[0], np.diff(-((1 - u) ** 2))[0]
    assert (one.component, two.component) == (1, 2)
    assert one.fraction == pytest.approx(larger, abs=0.015)
    assert two.fraction == pytest.approx(smaller, abs=0.015)


def test_components_of_libraries_without_holes_are_not_reported():
    reports = reports_of(grids=(FULL, HOLED))
    assert [report.component for report in reports] == [2]


def test_constraints_that_hardly_any_draw_satisfies_do_not_matter():
    settings = {"teff_1": {"normal": [2700, 5]}, "teff_2": {"uniform": [2600, 3400]}}
    domain = domain_of(HOLED, HOLED)
    parameters = parameters_of(domain, settings, constraints=["teff_1 < teff_2"])
    assert [report.component for report in prior_holes(parameters, domain)] == [2]


def test_a_prior_within_a_hole_is_refused():
    with pytest.raises(InvalidInput) as caught:
        reports_of({"teff": {"uniform": [2950, 3050]}, "logg": {"uniform": [4.6, 4.9]}})
    assert (caught.value.name, caught.value.value) == ("parameters", 1.0)


def test_the_parameters_of_an_epoch_count_too():
    domain = domain_of(HOLED)
    parameters = parameters_of(
        domain,
        {"teff_e1": {"uniform": [2600, 2800]}, "teff_e2": {"uniform": [2800, 3000]}, "logg": 5.0},
        per_epoch=["teff"], n_epochs=2,
    )  # fmt: skip
    (report,) = prior_holes(parameters, domain)
    assert report.fraction == pytest.approx(0.5, abs=0.01)


def test_irregular_grids_have_no_holes():
    points = np.random.default_rng(0).uniform([2600, 4], [3400, 5], (30, 2))
    grid = Grid(points, ("teff", "logg"))
    model = LibraryModel("library", grid, interpolation(grid, "simplex"), [])
    layout = lay_out([model.names], [], "c", {})
    domain = ModelDomain(layout, (model,), (0.0,))
    assert prior_holes(parameters_of(domain), domain) == ()


def test_filled_points_within_the_prior_are_reported_with_their_error():
    (report,) = reports_of(fill=True)
    assert report.fraction == pytest.approx(4 / 16, abs=0.01)
    assert (report.of, report.n_points, report.n_fillable) == ("prior", 2, 0)
    assert sorted(report.points, key=lambda point: point["logg"]) == list(ALL_HOLES)
    filling = fill_holes(HOLED, np.sin(HOLED.points / 1000))
    assert report.error == tuple(filling.error.max(axis=0))
    assert 0 < report.error[0] <= report.error[1] < 0.01


def test_holes_that_remain_and_filled_points_are_reported_apart():
    """(3400, 5) is a corner of the grid."""
    missing = [*MISSING, [3400.0, 5.0]]
    grid = FULL.take([i for i, point in enumerate(FULL.points.tolist()) if point not in missing])
    hole, filled = reports_of(grids=(grid,), fill=True)
    assert (hole.error, hole.points) == (None, ({"teff": 3400.0, "logg": 5.0},))
    assert hole.fraction == pytest.approx(1 / 16, abs=0.01)
    assert filled.fraction == pytest.approx(4 / 16, abs=0.01)
    assert filled.n_points == 2
    (refused,) = reports_of(grids=(grid,))
    assert (refused.n_points, refused.n_fillable) == (3, 2)


# --- posteriors -----------------------------------------------------------------------------------

RNG = np.random.default_rng(8)
NORMAL = RNG.normal(size=4000)


def posterior_reports(teff, logg=4.9, prior=(2600, 3400), fill=False):
    domain = domain_of(HOLED, fill=fill)
    parameters = parameters_of(domain, {"teff": {"uniform": list(prior)}})
    x = np.column_stack([teff, np.clip(logg + 0.02 * RNG.normal(size=len(teff)), 4, 5)])
    return posterior_holes(parameters, domain, x)


@pytest.mark.parametrize("sd", [0.5, 5.0, 30.0])
@pytest.mark.parametrize(
    ("teff", "ends"),
    [
        (-RNG.exponential(size=4000), True),
        (-np.abs(NORMAL), True),
        (NORMAL[NORMAL < 1] - 1, True),  # cut off at one sd
        (NORMAL - 3.5, False),
        (NORMAL - 6, False),
    ],
)
def test_a_posterior_ends_at_a_hole_if_the_hole_cuts_it_off(teff, ends, sd):
    reports = posterior_reports(2900 + sd * teff)
    assert len(reports) == ends
    for report in reports:
        assert report.points == (ALL_HOLES[1],)
        assert report.fraction == pytest.approx(np.mean(2900 + sd * teff > 2800))
        assert (report.of, report.component) == ("posterior", 0)


def test_a_posterior_on_both_sides_of_a_hole_ends_there():
    teff = np.concatenate([2900 - RNG.exponential(10, 1000), 3100 + RNG.exponential(10, 1000)])
    assert len(posterior_reports(teff)) == 1


def test_a_posterior_that_its_prior_ends_does_not_end_at_a_hole():
    assert posterior_reports(2900 - RNG.exponential(10, 2000), prior=(2600, 2900)) == ()


def test_a_posterior_that_goes_round_a_hole_along_an_edge_does_not_end_there():
    domain = domain_of(HOLED)
    parameters = parameters_of(domain, {"logg": 4.5})
    assert posterior_holes(parameters, domain, 3000 + 50 * NORMAL[:, None]) == ()


def test_a_posterior_that_uses_filled_points_does_not_end_there():
    teff = 2900 + 20 * NORMAL
    (report,) = posterior_reports(teff, fill=True)
    assert report.error is not None
    assert report.points == (ALL_HOLES[1],)
    assert report.fraction == pytest.approx(np.mean(teff > 2900))
    assert posterior_reports(2700 + 20 * NORMAL, fill=True) == ()


@pytest.mark.parametrize("fill", [False, True])
def test_a_report_can_be_stored(fill):
    (report,) = reports_of(fill=fill)
    assert HoleReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
