"""The plots of objects: ``store.plot``, ``spectrum.plot`` and ``spectra.plot``."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import mixjobs
from mixjobs import EmulatorSettings, Orders
from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.report.figure import axis_label, choose_orders, make_panels, new_figure
from mixjobs.store.spectra import Spectra


@pytest.fixture(autouse=True)
def closed():
    """Close the figures, which pyplot keeps in memory."""
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    orders = Orders([31, 32, 33], [5003, 5010, 5018], [5010, 5018, 5027])
    settings = EmulatorSettings(max_rv=20, max_vsini=20, min_resolution=40_000)
    path = tmp_path_factory.mktemp("store") / "q.zarr"
    return mixjobs.build(demo, orders, path, emulator=settings)


def lines(axes):
    return {line.get_label(): np.array(line.get_xydata()).T for line in axes.get_lines()}


# -- stores ------------------------------------------------------------------------------------


def test_flux_ratio(store):
    axes = store.plot.flux_ratio({"teff": 5900, "logg": 4.2, "feh": 0}, "linear", orders=[33, 31])
    assert [a.get_title().partition(":")[0] for a in axes] == ["order 33", "order 31"]
    q = mixjobs.load_flux_ratio(store.path, "linear")
    for a, row in zip(axes, (2, 0), strict=True):
        teff, drawn = lines(a)["linear"]
        theta2 = {"teff": teff, "logg": 4.2, "feh": 0}
        expected = q({"teff": 5900, "logg": 4.2, "feh": 0}, theta2)[:, row]
        np.testing.assert_allclose(drawn, expected, rtol=1e-12)


def test_the_default_is_every_order_and_the_middle_of_the_grid(store):
    axes = store.plot.flux_ratio()
    assert len(axes) == 3
    title = axes[0].figure.legends[0].get_title().get_text()
    assert title == "component 1: teff=5800, logg=4, feh=-0.5"
    assert set(lines(axes[0])) == {"cubic", "grid points", "blackbody"}


def test_one_order_on_a_given_axis(store):
    left, right = Figure().subplots(1, 2)
    (drawn,) = store.plot.flux_ratio(orders=[32], ax=left)
    assert drawn is left
    assert left.get_xlabel() == "effective temperature of component 2 (K)"
    assert left.get_ylabel() == "flux ratio q"
    assert store.plot.ratio_table(32, ax=right) is right
    with pytest.raises(InvalidInput) as error:
        store.plot.flux_ratio(ax=left)
    assert error.value.name == "ax"


def test_ratio_table(store):
    axes = store.plot.ratio_table(33)
    np.testing.assert_allclose(
        axes.get_images()[0].get_array(), np.log10(store.flux_ratio[2]), atol=1e-15
    )
    assert store.plot.ratio_table().get_title().startswith("order 32")


def test_emulator(store, demo, tmp_path):
    above, below = store.plot.emulator()
    assert [label.get_text() for label in below.get_xticklabels()] == ["31", "32", "33"]
    assert len(above.patches) == 3
    without = mixjobs.build(demo, store.orders, tmp_path / "q.zarr")
    with pytest.raises(InvalidInput) as error:
        without.plot.emulator()
    assert error.value.path == str(without.path)


def test_invalid_arguments(store):
    with pytest.raises(InvalidInput):
        store.plot.flux_ratio(orders=[99])
    with pytest.raises(InvalidInput):
        store.plot.flux_ratio(orders=[])
    with pytest.raises(InvalidInput):
        store.plot.ratio_table(99)
    with pytest.raises(OutsideGrid):
        store.plot.flux_ratio([9000, 4, 0])
    with pytest.raises(InvalidInput) as error:
        store.plot.flux_ratio(store.grid.points[:2])
    assert error.value.name == "theta1"


# -- observed spectra --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """Two orders; pixels 3, 4, 5 and the last one of each are masked, with absurd fluxes."""
    rng = np.random.default_rng(2)
    wave = np.concatenate([np.linspace(5000, 5010, 40), np.linspace(5008, 5020, 40)])
    flux, mask = 1 + 0.05 * rng.normal(size=80), np.ones(80, dtype=int)
    for start in (0, 40):
        mask[[start + 3, start + 4, start + 5, start + 39]] = 0
    flux[mask == 0] = 1e6
    table = Table({"order": np.repeat([7, 8], 40), "wavelength": wave, "flux": flux, "mask": mask})
    table["sigma"] = 0.05
    table.meta["medium"] = "air"
    path = tmp_path_factory.mktemp("star") / "star.ecsv"
    table.write(path)
    return mixjobs.open_spectrum(path)


def test_an_observed_spectrum(observed):
    axes = observed.plot()
    assert [a.get_title() for a in axes] == ["order 7", "order 8"]
    for m, a in enumerate(axes):
        wave, flux = lines(a)["flux"]
        used = observed.mask[m]
        assert (wave == observed.wavelength[m]).all()
        assert (flux[used] == observed.flux[m][used]).all()
        assert np.isnan(flux[~used]).all()
        assert a.get_ylim()[1] < 2  # the masked fluxes do not set the scale
    assert axes[0].figure.get_supxlabel() == "wavelength in air (Å)"


def test_masked_pixels_are_shaded_from_edge_to_edge(observed):
    (axes,) = observed.plot(orders=[7])
    shaded = next(c for c in axes.collections if c.get_label() == "masked")
    spans = [(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for p in shaded.get_paths()]
    wave = observed.wavelength[0]
    edges = (wave[1:] + wave[:-1]) / 2
    np.testing.assert_allclose(spans, [(edges[2], edges[5]), (edges[38], wave[39])])


def test_all_orders_on_one_axis(observed):
    axes = Figure().subplots()
    (drawn,) = observed.plot(ax=axes, errors=False)
    assert drawn is axes
    assert len(axes.get_lines()) == 2
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["flux", "masked"]


# -- computed spectra --------------------------------------------------------------------------


def spectra(varied=None):
    n = 3 if varied else 1
    wave = np.linspace(5000, 5010, 50)
    parts = np.stack([0.7 + 0.01 * np.sin(wave), 0.3 + 0.01 * np.cos(wave)])
    parts = np.repeat(parts[None], n, axis=0)
    return Spectra(
        number=np.array([4, 5]), wave_min=np.array([5000.0, 5010.0]),
        wave_max=np.array([5010.0, 5020.0]), wavelength=(wave, wave + 10),
        flux=(parts.sum(axis=1),) * 2, parts=(parts,) * 2, q=np.ones((n, 2, 2)),
        light=np.full((n, 2, 2), 0.3), parameters={"teff_2": np.linspace(4000.0, 5000.0, n)},
        varied=varied, labels=("component 1 (teff=6000)", "component 2 (teff=4000)"),
        notes={"medium": "vacuum"},
    )  # fmt: skip


def test_computed_spectra():
    axes = spectra().plot()
    labels = ["mixture", "component 1 (teff=6000)", "component 2 (teff=4000)"]
    assert list(lines(axes[0])) == labels
    assert [a.get_title() for a in axes] == ["order 4: c q = 0.3", "order 5: c q = 0.3"]
    assert axes[0].figure.get_supxlabel() == "wavelength in vacuum (Å)"
    (axes,) = spectra().plot(orders=[5], ax=Figure().subplots())
    assert axes.get_title() == "order 5: c q = 0.3"


def test_a_family_of_spectra():
    axes = spectra("teff_2").plot()
    assert len(axes[0].get_lines()) == 3
    bar = axes[0].figure.axes[-1]
    assert bar.get_ylabel() == "effective temperature of component 2 (K)"
    (axes,) = spectra("teff_2").plot([4], Figure().subplots())
    assert len(axes.figure.axes) == 2  # and its colour bar
    with pytest.raises(InvalidInput):
        spectra("teff_2").plot(ax=Figure().subplots())


# -- figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4, 5, 12])
def test_panels(n):
    panels = make_panels(Figure(), n, 4, (3.0, 2.0), sharex=True)
    assert len(panels) == n == len(panels[0].figure.axes)
    assert all(isinstance(panel, Axes) for panel in panels)
    lowest = panels[-min(4, n) :]  # each has the labels of the shared axis
    assert all(panel.xaxis.get_tick_params()["labelbottom"] for panel in lowest)


def test_twelve_evenly_spaced_orders():
    orders = Orders.log_spaced(54, 5000, 9000)
    rows = choose_orders(orders, None)
    assert len(rows) == 12
    assert (rows[0], rows[-1]) == (0, 53)
    assert set(np.diff(rows)) <= {4, 5}
    assert choose_orders(orders, range(20)) == list(range(20))


def test_labels():
    assert axis_label("vsini_1") == "v sin i of component 1 (km/s)"
    assert axis_label("rv_offset") == "rv_offset"


def test_figures_belong_to_pyplot_if_it_is_imported(store):
    store.plot.ratio_table()
    assert len(pyplot.get_fignums()) == 1


def test_figures_belong_to_pyplot_in_ipython(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: object()))
    assert new_figure() is pyplot.gcf()


SCRIPT = """
import sys
import mixjobs
store, spectrum = mixjobs.open_store(sys.argv[1]), mixjobs.open_spectrum(sys.argv[2])
axes = [*store.plot.flux_ratio(), store.plot.ratio_table(), *store.plot.emulator()]
axes += spectrum.plot()
for k, a in enumerate(axes):
    a.figure.savefig(f"{sys.argv[3]}/{k}.png")
assert "matplotlib.pyplot" not in sys.modules
"""


def test_a_script_needs_no_pyplot(store, observed, tmp_path):
    command = [sys.executable, "-c", SCRIPT, store.path, observed.path, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 8
