"""The figures of a store that `mixjobs plot` saves."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

import mixjobs
from mixjobs import Orders
from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.grid import Grid
from mixjobs.report.store import (
    compute_curves,
    draw_all,
    draw_flux_ratios,
    draw_ratio_table,
    middle_point,
)

THETA1 = np.array([5800, 4.25, -0.1])
N_ORDERS = 14  # more than the 12 panels of one figure


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    orders = Orders(np.arange(40, 40 + N_ORDERS), 5001 + np.arange(N_ORDERS), 5010 + np.arange(14))
    return mixjobs.build(demo, orders, tmp_path_factory.mktemp("store") / "q.zarr")


@pytest.fixture(scope="module")
def figures(store):
    return draw_all(store, THETA1, "linear")


def test_every_order_has_a_panel(figures):
    assert list(figures) == [
        "flux_ratio_orders_40_to_51", "flux_ratio_orders_52_to_53", "ratio_table_order_47",
    ]  # fmt: skip
    first, second, _ = figures.values()
    titles = [panel.get_title() for figure in (first, second) for panel in figure.axes]
    assert [title.split(":")[0] for title in titles] == [f"order {m}" for m in range(40, 54)]
    assert titles[0] == "order 40: 5001 to 5010 Å"
    title = first.legends[0].get_title().get_text()
    assert title == "component 1: teff=5800, logg=4.25, feh=-0.1 (12 of 14 orders)"
    assert first.get_supxlabel() == "effective temperature of component 2 (K)"


def test_the_curves_are_q(store, figures):
    panel = figures["flux_ratio_orders_52_to_53"].axes[1]
    lines = {line.get_label(): line.get_xydata().T for line in panel.get_lines()}
    assert set(lines) == {"linear", "blackbody"}  # no grid point lies on the curve
    for label, method in (("linear", "linear"), ("blackbody", "blackbody")):
        teff, q = lines[label]
        assert (teff[0], teff[-1]) == (5600, 6000)
        theta2 = {"teff": teff, "logg": 4.25, "feh": -0.1}
        expected = mixjobs.load_flux_ratio(store.path, method, orders=[53])(THETA1, theta2)[:, 0]
        np.testing.assert_allclose(q, expected, rtol=1e-12)


def test_grid_points_lie_on_the_curve(store):
    curves = compute_curves(store, store.grid.points[5], "cubic")
    assert curves.nodes.tolist() == [5600, 5800, 6000]
    for k in range(N_ORDERS):
        np.testing.assert_allclose(
            np.interp(curves.nodes, curves.x, curves.q[:, k]), curves.q_nodes[:, k], rtol=1e-4
        )


def test_files_are_not_blank(figures, tmp_path):
    for name, figure in list(figures.items())[1:]:
        figure.savefig(tmp_path / name, format="png")
        image = imread(tmp_path / name)
        assert image.shape[2] == 4
        assert len(np.unique(np.round(image[..., :3].sum(axis=2), 3))) > 50  # many colours


def test_the_image_is_the_stored_table(store, demo, tmp_path):
    without = mixjobs.build(demo, store.orders, tmp_path / "q.zarr", table=False)
    panels = [draw_ratio_table(Figure().subplots(), s, 3) for s in (store, without)]
    images = [panel.get_images()[0].get_array() for panel in panels]
    np.testing.assert_allclose(images[0], np.log10(store.flux_ratio[3]), atol=1e-15)
    np.testing.assert_allclose(images[0], images[1], atol=1e-14)


@pytest.mark.parametrize(
    ("theta1", "method", "error"),
    [([7000, 4.25, 0], "cubic", OutsideGrid), (THETA1, "spline", InvalidInput)],
)
def test_invalid_components_and_methods(store, theta1, method, error):
    with pytest.raises(error):
        draw_all(store, theta1, method)


def test_a_grid_without_teff(store):
    """The curves run along the first parameter with several values, without a blackbody."""
    keep = store.grid.points[:, 0] == 5800
    grid = Grid(store.grid.points[keep], ("mass", "logg", "feh"))
    other = replace(store, grid=grid, mean_flux=store.mean_flux[:, keep], flux_ratio=None)
    curves = compute_curves(other, grid.points[0], "cubic")
    assert (curves.parameter, curves.blackbody) == ("logg", None)
    assert curves.nodes.tolist() == [4, 4.5]
    figure = next(iter(draw_flux_ratios(other, grid.points[0]).values()))
    assert figure.get_supxlabel() == "log g of component 2 (dex(cm/s²))"


def test_component_1_is_in_the_middle_by_default(store):
    assert store.grid.points.tolist().index(middle_point(store.grid).tolist()) >= 0
    assert middle_point(store.grid)[0] == 5800
    assert compute_curves(store).theta1.startswith("teff=5800")


def test_grid_points_are_drawn_where_they_exist(store):
    """theta1 with a log g between grid points: no grid point lies on the curve."""
    (panel,) = store.plot({"teff": 5700, "logg": 4.2, "feh": -0.5}, orders=[40])
    labels = {line.get_label() for line in panel.get_lines()}
    assert "grid points" not in labels
    (panel,) = store.plot({"teff": 5700, "logg": 4.5, "feh": -0.5}, orders=[40])
    assert "grid points" in {line.get_label() for line in panel.get_lines()}


def test_the_plots_of_a_store_are_listed(store):
    assert "plot.flux_ratio()" in repr(store.plot)
    assert "plot()" in repr(store.plot)
