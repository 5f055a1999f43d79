"""The figures of a run: their content, the size of their files, and the command."""

from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from mixjobs.cli.plot import plot
from mixjobs.inference.interval import Interval
from mixjobs.inference.residuals import FittedOrder, fitted_orders
from mixjobs.report import posterior
from mixjobs.report.figure import save_figures
from mixjobs.report.order_fits import draw_fits
from mixjobs.report.posterior import draw_corners, draw_traces
from tests.helpers.finished_runs import finished


def drawn_order(number, epoch=0, n=2304):
    """Simulate an order with lines, by default with a realistic number of pixels."""
    rng = np.random.default_rng(number)
    wave = np.linspace(5000, 5080, n) + 80 * number
    spectrum = 1 - 0.3 * rng.random(n) ** 20
    flux = 2e-14 * (spectrum + 0.01 * rng.normal(size=n))
    used = rng.random(n) > 0.02
    fit, nothing = 2e-14 * spectrum, np.zeros(n)
    return FittedOrder(
        epoch, number, wave, used, flux, np.full(n, 2e-16), fit, fit,
        np.stack([0.7 * fit, 0.3 * fit]), nothing, np.where(used, 0.0, np.nan), 1.1,
    )  # fmt: skip


def test_every_order_is_in_a_figure():
    orders = [drawn_order(n, e, 20) for e in (0, 1) for n in range(20, 24)]
    assert list(draw_fits(orders[:4])) == ["fit_orders_20_to_22", "fit_order_23"]
    figures = draw_fits(orders)
    assert list(figures) == [
        "fit_e1_orders_20_to_22", "fit_e1_order_23", "fit_e2_orders_20_to_22", "fit_e2_order_23",
    ]  # fmt: skip
    titles = [panel.get_title() for figure in figures.values() for panel in figure.axes[::2]]
    assert [title.split(":")[0] for title in titles] == [
        f"order {n}{spectrum}" for spectrum in ("", ", spectrum 2") for n in range(20, 24)
    ]


def test_the_fit_is_drawn_with_parts_and_residuals():
    run = finished()
    orders = fitted_orders(run.log_probability, run.chain.best())
    (figure,) = draw_fits(orders).values()
    for order, above, below in zip(orders, figure.axes[::2], figure.axes[1::2], strict=True):
        lines = {line.get_label(): line.get_ydata() for line in above.get_lines()}
        scale = np.median(order.flux[order.used])
        np.testing.assert_allclose(lines["fit"] * scale, order.fit)
        np.testing.assert_allclose(lines["component 2"] * scale, order.parts[1])
        assert np.isnan(lines["data"]).sum() == (~order.used).sum()
        left = {line.get_label(): line.get_ydata() for line in below.get_lines()}
        np.testing.assert_array_equal(left["data − fit"], order.difference_in_sigma)
        np.testing.assert_array_equal(left["correlated noise"], order.correlated_in_sigma)
        assert left["±σ, scaled by the fit"] == [order.noise_factor] * 2
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        "data", "fit", "component 1", "component 2", "masked", "data − fit", "correlated noise",
        "±σ, scaled by the fit",
    ]  # fmt: skip


def test_a_single_component_does_not_hide_the_fit():
    two = drawn_order(20, n=20)
    (figure,) = draw_fits([replace(two, parts=two.fit[None])]).values()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["data", "fit", "data − fit", "±σ, scaled by the fit"]


def test_axes_have_units():
    rng = np.random.default_rng(0)
    names = ["teff_1", "logg", "rv_e2"]
    labels = ["teff_1 (K)", "logg", "rv_e2 (km/s)"]
    (corner,) = draw_corners({name: rng.normal(size=500) for name in names}).values()
    assert [panel.get_xlabel() for panel in corner.axes[-3:]] == labels
    assert [panel.get_ylabel() for panel in corner.axes[3::3]] == labels[1:]
    (traces,) = draw_traces(rng.normal(size=(2, 30, 4, 3)), names, 10).values()
    assert [panel.get_ylabel() for panel in traces.axes[::2]] == labels


def test_many_parameters_need_several_figures(monkeypatch):
    monkeypatch.setattr(posterior, "MAX_PARAMETERS", 3)
    rng = np.random.default_rng(0)
    draws = {f"p{k}": rng.normal(size=500) for k in range(5)}
    figures = draw_corners(draws)
    assert list(figures) == ["corner_1", "corner_2"]
    first, second = figures.values()
    assert (len(first.axes), len(second.axes)) == (9, 4)
    low, middle, high = np.quantile(draws["p4"], [0.16, 0.5, 0.84])
    title = second.axes[3].get_title()
    assert title == f"p4\n{middle:.1f} +{high - middle:.1f} −{middle - low:.1f}"
    traces = draw_traces(rng.normal(size=(2, 30, 4, 5)), list(draws), 10)
    assert [len(figure.axes) for figure in traces.values()] == [6, 4]


def test_every_walker_is_in_the_traces():
    positions = np.random.default_rng(0).normal(size=(3, 50, 6, 2))
    (figure,) = draw_traces(positions, ["a", "b"], 20).values()
    panels = np.array(figure.axes).reshape(2, 3)
    for (p, e), panel in np.ndenumerate(panels):
        lines = panel.get_lines()
        assert len(lines) == 6
        np.testing.assert_array_equal(lines[4].get_ydata(), positions[e, :, 4, p])
        assert lines[4].get_xdata()[[0, -1]].tolist() == [1, 50]
    assert panels[1, 2].patches[0].get_extents().width > 0


def test_a_parameter_that_does_not_move_is_drawn():
    assert draw_corners({"a": np.full(50, 3.0), "b": np.arange(50.0)})["corner"].axes


@pytest.mark.parametrize("kind", ["traces", "fits"])
def test_files_are_small(tmp_path, kind):
    """With 2 x 32 walkers, and with three orders of 2304 pixels."""
    if kind == "traces":
        names = [f"p{k}" for k in range(8)]
        positions = np.random.default_rng(0).normal(size=(2, 1000, 32, 8))
        figures = draw_traces(positions, names, 100)
    else:
        figures = draw_fits([drawn_order(n) for n in (0, 1, 2)])
    (path,) = save_figures(figures, tmp_path, 24)
    assert path.stat().st_size < 300_000
    with Image.open(path) as image:
        assert len(image.getcolors()) > 10


def test_the_command(tmp_path, capsys):
    run = finished()
    plot(
        Namespace(
            store=str(run.folder.path),
            output=str(tmp_path),
            theta1=None,
            method=None,
            columns=None,
            wavelength_unit=None,
            medium=None,
            snr=None,
            reader=None,
        )
    )
    names = capsys.readouterr().out.split()
    assert names == [
        str(tmp_path / f"{name}.png") for name in ("corner", "traces", "fit_orders_21_to_22")
    ]
    for name in names:
        assert imread(name).std() > 0.1


def test_the_corner_plot_shows_the_summary():
    """The same draws: medians and intervals are equal."""
    run = finished()
    draws = run.plot._draws()
    summary = run.summary()
    for name, values in draws.items():
        assert Interval.of(values) == summary.parameters[name]
    panels = run.plot()
    name = run.names[0]
    low, high = summary.parameters[name].interval_68
    lines = sorted(line.get_xdata()[0] for line in panels[0, 0].get_lines())
    np.testing.assert_allclose(lines, [low, summary.parameters[name].median, high])


def test_the_axis_of_the_fits_names_the_medium():
    run = finished()
    assert run.plot.fits()[0, 0].figure.get_supxlabel() == "wavelength in vacuum (Å)"
    mixed = [drawn_order(20, n=20), replace(drawn_order(21, n=20), medium="air")]
    (figure,) = draw_fits(mixed).values()
    assert figure.get_supxlabel() == "wavelength (Å)"


def test_the_plots_of_a_run_are_listed():
    text = repr(finished().plot)
    for name in ("plot()", "plot.corner()", "plot.traces()", "plot.fits()"):
        assert f"  {name} " in text
