"""Which parameters are free, fixed and tied, of each epoch; their prior."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mixjobs.errors import InvalidInput
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import LogUniform, Normal, Uniform

FIT = ("teff_1", "teff_2", "logg", "feh", "vsini", "rv", "c", "ln_noise")
DEFAULTS = {
    "teff_1": Uniform(4000, 7000), "teff_2": Uniform(3000, 6000), "logg": Uniform(3.5, 5),
    "feh": Normal(0, 0.2), "vsini": LogUniform(1, 50), "rv": Normal(10, 20, 0, 50),
    "c": Uniform(0, 1), "ln_noise": Normal(0, 1),
}  # fmt: skip
PEERS = {
    "teff_1": stats.uniform(4000, 3000), "teff_2": stats.uniform(3000, 3000),
    "logg": stats.uniform(3.5, 1.5), "feh": stats.norm(0, 0.2), "vsini": stats.loguniform(1, 50),
    "rv": stats.truncnorm(-0.5, 2, 10, 20), "c": stats.uniform(0, 1), "ln_noise": stats.norm(0, 1),
}  # fmt: skip
THREE = ("teff_1", "teff_2", "teff_3", "rv_1", "rv_2", "rv_3", "c_2", "c_3")
OF_THREE = {name: Uniform(-100, 100) for name in THREE} | {
    "c_2": Uniform(0, 1), "c_3": Uniform(0, 1)
}  # fmt: skip


def parameters(settings=None, **options):
    return make_parameters(FIT, DEFAULTS, settings, **options)


def of_three(settings=None, **options):
    return make_parameters(THREE, OF_THREE, settings, **options)


def test_all_free():
    found = parameters()
    assert found.names == FIT
    theta = found.draw(np.random.default_rng(1), 5)
    (table,) = found.table(theta)
    assert np.array_equal(table, theta)
    assert np.array_equal(found.bounds[[0, 3]], [[4000, 7000], [-np.inf, np.inf]])


@given(st.integers(0, 2**32 - 1), st.sets(st.sampled_from(FIT), min_size=1))
def test_the_prior_is_the_product_of_the_priors(seed, free):
    rng = np.random.default_rng(seed)
    found = parameters({name: 0.5 for name in FIT if name not in free})
    theta = np.column_stack([PEERS[name].rvs(20, random_state=rng) for name in found.names])
    theta *= rng.choice([1, 1.3], theta.shape, p=[0.9, 0.1])  # some of them outside
    with np.errstate(divide="ignore"):
        each = [PEERS[n].logpdf(theta[:, k]) for k, n in enumerate(found.names)]
    expected = np.sum(each, axis=0)
    assert found.log_prior(theta) == pytest.approx(expected, rel=1e-9)


@st.composite
def rules(draw):
    """For each name a value, a tie to one later in a shuffled order, or its default prior."""
    order = draw(st.permutations([name for name in FIT if name != "c"]))
    number = st.sampled_from([-2.0, -0.5, 0.1, 1.0, 3.0])
    drawn = {}
    for place, name in enumerate(order[:-1]):
        kind = draw(st.sampled_from(["free", "fixed", "tied"]))
        if kind == "fixed":
            drawn[name] = draw(number)
        if kind == "tied":
            drawn[name] = draw(number), draw(st.sampled_from(order[place + 1 :])), draw(number)
    return drawn


def text(rule):
    if isinstance(rule, float):
        return rule
    factor, name, offset = rule
    return f"{factor} * {name} {'-' if offset < 0 else '+'} {abs(offset)}"


def plain_value(name, drawn, row):
    if name not in drawn:
        return row[name]
    if isinstance(drawn[name], float):
        return drawn[name]
    factor, other, offset = drawn[name]
    return factor * plain_value(other, drawn, row) + offset


@given(rules(), st.integers(0, 2**32 - 1))
def test_a_table_is_that_of_plain_recursion(drawn, seed):
    found = parameters({name: text(rule) for name, rule in drawn.items()})
    assert found.names == tuple(name for name in FIT if name not in drawn)
    theta = np.random.default_rng(seed).normal(size=(3, len(found.names)))
    (table,) = found.table(theta)
    for row, values in zip(table, theta, strict=True):
        free = dict(zip(found.names, values, strict=True))
        expected = [plain_value(name, drawn, free) for name in FIT]
        assert row == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("teff_1", 5000), (" teff_1 ", 5000), ("teff_1-100", 4900), ("teff_1 + .5", 5000.5),
        ("2*teff_1", 10000), ("0.5 * teff_1 + 1e2", 2600), ("-1 * teff_1 - 3.", -5003),
    ],
)  # fmt: skip
def test_ties(said, expected):
    found = parameters({"teff_2": said})
    theta = np.full((1, len(found.names)), 5000.0)
    assert found.table(theta)[0][0, 1] == expected


def test_epochs():
    found = parameters({"rv_e2": 7.0, "feh": 0.1}, per_epoch=["rv", "c"], n_epochs=3)
    assert found.names == (
        "teff_1", "teff_2", "logg", "vsini", "rv_e1", "rv_e3", "c_e1", "c_e2", "c_e3", "ln_noise",
    )  # fmt: skip
    tables = found.table([np.arange(10.0)])
    assert [table.tolist() for table in tables] == [
        [[0, 1, 2, 0.1, 3, 4, 6, 9]], [[0, 1, 2, 0.1, 3, 7.0, 7, 9]], [[0, 1, 2, 0.1, 3, 5, 8, 9]]
    ]  # fmt: skip


def test_a_setting_of_what_each_epoch_has_serves_each_that_has_none():
    found = parameters(
        {"rv": {"uniform": [0, 1]}, "rv_e2": {"uniform": [5, 6]}}, per_epoch=["rv"], n_epochs=3
    )
    places = [found.names.index(f"rv_e{e}") for e in (1, 2, 3)]
    assert found.bounds[places].tolist() == [[0, 1], [5, 6], [0, 1]]
    fixed = parameters({"rv": 3.0}, per_epoch=["rv"], n_epochs=2)
    assert [row for row in fixed.rows() if row.name.startswith("rv")] == [
        ("rv_e1", "fixed", "3"), ("rv_e2", "fixed", "3")
    ]  # fmt: skip


def test_one_epoch_has_no_suffix():
    assert parameters(per_epoch=["rv", "c"]).names == FIT


def test_numbered_names_and_ties_in_each_epoch():
    found = of_three({"rv_3": "rv_2 + 1", "rv_2_e2": 5}, per_epoch=["rv", "c"], n_epochs=2)
    assert found.names[3:] == ("rv_1_e1", "rv_1_e2", "rv_2_e1", "c_2_e1", "c_2_e2", "c_3_e1",
                               "c_3_e2")  # fmt: skip
    first, second = found.table([np.arange(10.0)])
    assert first.tolist() == [[0, 1, 2, 3, 5, 6, 6, 8]]
    assert second.tolist() == [[0, 1, 2, 4, 5, 6, 7, 9]]


def test_constraints():
    found = parameters({"feh": 0.0}, constraints=["teff_2 < teff_1", "logg>feh"])
    theta = found.draw(np.random.default_rng(2), 500)
    assert theta.shape == (500, 7)
    assert (theta[:, 1] < theta[:, 0]).all()
    free = parameters({"feh": 0.0})
    assert np.array_equal(found.log_prior(theta), free.log_prior(theta))  # not normalised again
    broken = theta[:1].copy()
    broken[0, :2] = 4500, 5000
    assert np.isfinite(free.log_prior(broken)).all()
    assert found.log_prior(broken) == -np.inf
    broken[0, :2] = 4500, 4500
    assert found.log_prior(broken) == -np.inf


def test_a_constraint_holds_in_each_epoch_and_for_ties():
    found = of_three({"rv_3": "rv_2 + 1"}, per_epoch=["rv"], n_epochs=2,
                     constraints=["rv_1 < rv_3"])  # fmt: skip
    theta = found.draw(np.random.default_rng(2), 300)
    assert all((table[:, 3] < table[:, 5]).all() for table in found.table(theta))
    for epoch in (1, 2):
        broken = theta[:1].copy()
        broken[0, found.names.index(f"rv_1_e{epoch}")] = 90
        broken[0, found.names.index(f"rv_2_e{epoch}")] = 80
        assert found.log_prior(broken) == -np.inf


def test_draws_follow_the_priors():
    found = parameters(constraints=["teff_2 < teff_1"])
    theta = found.draw(np.random.default_rng(5), 3000)
    for name in FIT[2:]:
        drawn = theta[:, FIT.index(name)]
        assert stats.kstest(drawn, PEERS[name].cdf).pvalue > 0.01
    teff_1 = np.linspace(4000, 7000, 30001)
    kept = np.minimum(teff_1, 6000) - 3000  # how much of the prior of teff_2 is left
    assert theta[:, 0].mean() == pytest.approx((teff_1 * kept).sum() / kept.sum(), abs=50)


def test_quantiles():
    found = of_three(dirichlet=[1, 2, 3])
    assert found.quantile(np.full((1, 8), 0.5))[0, :6].tolist() == [0] * 6
    theta = found.quantile(np.random.default_rng(1).random((2000, 8)))
    assert np.isfinite(found.log_prior(theta)).all()
    assert stats.kstest(theta[:, 7], stats.beta(3, 3).cdf).pvalue > 0.01
    u = np.random.default_rng(2).random((3, 8))
    assert [found.quantile(row).tolist() for row in u] == found.quantile(u).tolist()


def test_outside():
    found = parameters()
    rows = found.draw(np.random.default_rng(1), 3)
    for column, value in ((0, 3999), (4, -1), (6, np.nan), (3, np.inf), (6, 1.01), (7, -np.inf)):
        theta = rows.copy()
        theta[1, column] = value
        assert (found.log_prior(theta) == -np.inf).tolist() == [False, True, False]


def test_fractions_are_fractions():
    """Of three components, c_2 and c_3 that add up to more than 1 are none."""
    found = of_three()
    theta = np.zeros((3, 8))
    theta[:, 6:] = [[0.5, 0.4], [0.5, 0.6], [0.5, 0.5]]
    assert np.isfinite(found.log_prior(theta)).tolist() == [True, False, True]
    assert (found.draw(np.random.default_rng(1), 500)[:, 6:].sum(axis=1) <= 1).all()
    wide = parameters({"c": {"normal": [0, 5]}})
    assert (wide.draw(np.random.default_rng(1), 500)[:, 6] >= 0).all()


@pytest.mark.parametrize("epochs", [1, 2])
def test_dirichlet_in_each_epoch(epochs):
    alpha = (2, 1, 3)
    found = of_three(dirichlet=alpha, per_epoch=["c"], n_epochs=epochs)
    theta = found.draw(np.random.default_rng(4), 50)
    expected = 6 * stats.uniform(-100, 200).logpdf(0)
    own = ["c_{}"] if epochs == 1 else ["c_{}_e1", "c_{}_e2"]
    for name in own:
        c = theta[:, [found.names.index(name.format(k)) for k in (2, 3)]]
        every = np.column_stack([1 - c.sum(axis=1), c])
        expected = expected + np.array([stats.dirichlet(alpha).logpdf(row) for row in every])
    assert found.log_prior(theta) == pytest.approx(expected)
    assert found.rows()[-1].prior == "Dirichlet 2, 1, 3"


def test_dirichlet_of_what_epochs_share():
    found = of_three(dirichlet=(2, 1, 3), n_epochs=2)
    assert found.names[6:] == ("c_2", "c_3")
    theta = np.zeros((1, 8))
    theta[0, 6:] = 0.25, 0.25
    expected = 6 * np.log(1 / 200) + stats.dirichlet((2, 1, 3)).logpdf([0.5, 0.25, 0.25])
    assert found.log_prior(theta) == pytest.approx(expected)


def test_fix():
    found = parameters(
        {"ln_noise": "optimum", "feh": "logg"}, per_epoch=["c", "ln_noise"], n_epochs=2
    )
    assert found.optimum == ("ln_noise_e1", "ln_noise_e2")
    assert found.fix("ln_noise_e1", 0.25).optimum == ("ln_noise_e2",)
    fixed = found.fix("ln_noise", 0.25).fix("logg", 4.5).fix("c", 0)
    assert fixed.optimum == ()
    assert fixed.names == ("teff_1", "teff_2", "vsini", "rv")
    assert found.fit == fixed.fit
    for table in fixed.table([[5000, 4000, 5, 10]]):
        assert table.tolist() == [[5000, 4000, 4.5, 4.5, 5, 10, 0, 0.25]]
    assert found.names[-1] == "ln_noise_e2"  # itself it is as it was


def test_fix_all_fractions():
    fixed = of_three(dirichlet=[1, 1, 1]).fix("c", 0.0)
    assert fixed.names == THREE[:6]
    assert np.isfinite(fixed.log_prior(np.zeros((1, 6)))).all()


def test_rows():
    found = parameters(
        {"feh": 0.0, "teff_2": "0.5 * teff_1 - 10", "ln_noise": "optimum"},
        per_epoch=["rv"],
        n_epochs=2,
    )
    assert [tuple(row) for row in found.rows()] == [
        ("teff_1", "free", "uniform 4000 to 7000"),
        ("teff_2", "tied", "0.5 * teff_1 - 10"),
        ("logg", "free", "uniform 3.5 to 5"),
        ("feh", "fixed", "0"),
        ("vsini", "free", "log-uniform 1 to 50"),
        ("rv_e1", "free", "normal 10 ± 20, 0 to 50"),
        ("rv_e2", "free", "normal 10 ± 20, 0 to 50"),
        ("c", "free", "uniform 0 to 1"),
        ("ln_noise", "optimum", "normal 0 ± 1"),
    ]


EPOCHS = {"per_epoch": ["rv"], "n_epochs": 2}
REFUSALS = [
    ({"tef_1": 5000}, {}, r"parameters: unknown parameter 'tef_1'; did you mean teff_1\?"),
    ({"rv_e1": 5}, {}, r"parameters: unknown parameter 'rv_e1'; choose from teff_1, teff_2, logg"),
    ({"teff_2": "teff_3 + 1"}, {}, r"teff_2 = teff_3 \+ 1: unknown parameter 'teff_3'; did you"),
    ({"teff_2": "teff_1 * 2"}, {}, r"teff_2: 'teff_1 \* 2'; expected a tie such as"),
    ({"teff_2": ""}, {}, "teff_2: ''; expected a tie"),
    ({"teff_2": "0 * teff_1"}, {}, "teff_2: '0 .*; expected finite numbers and a factor that"),
    ({"teff_2": "1e999 * teff_1"}, {}, "teff_2: '1e999 .*; expected finite numbers"),
    ({"teff_2": "teff_2"}, {}, "tied in a circle: teff_2 -> teff_2; give one of them a prior"),
    ({"logg": "feh", "feh": "rv", "rv": "logg"}, {}, "tied in a circle: logg -> feh -> rv -> logg"),
    ({"logg": "rv"}, EPOCHS, "logg = rv: each epoch has a rv of its own; name one, such as rv_e1"),
    ({"feh": np.nan}, {}, "feh: fixed at nan; expected a finite number"),
    ({"feh": True}, {}, "feh: True; expected a prior, a number or a tie"),
    ({"feh": [1]}, {}, r"feh: \[1\]; expected a prior, a number or a tie"),
    ({"feh": {"uniform": [1, 0]}}, {}, r"feh: uniform \(1, 0\): expected two finite bounds"),
    ({"teff_1": "optimum"}, {}, 'teff_1 = "optimum"; only ln_noise, log_amplitude, log_length can'),
    ({}, {"constraints": ["teff_2 < teff_3"]}, "constraint 'teff_2 < teff_3': unknown parameter"),
    ({}, {"constraints": ["teff_2"]}, "constraint 'teff_2': expected two parameters"),
    ({}, {"constraints": ["a < b < c"]}, "constraint 'a < b < c': expected two parameters"),
    ({}, {"constraints": ["rv < rv"]}, "constraint 'rv < rv': expected two parameters"),
    ({}, {"constraints": ["teff_1 < c"]}, "constraint teff_1 < c can never hold with these priors"),
    ({"teff_2": "teff_1 + 1"}, {"constraints": ["teff_2 < teff_1"]}, "can never hold"),
    ({"teff_2": 8000}, {"constraints": ["teff_2 < teff_1"]}, "can never hold"),
    ({"teff_1": 1, "teff_2": 1}, {"constraints": ["teff_2 < teff_1"]}, "can never hold"),
    ({}, {"per_epoch": ["rw"], "n_epochs": 2}, "per_epoch: unknown parameter 'rw'; choose from"),
    ({}, {"per_epoch": ["rw"]}, "per_epoch: unknown parameter 'rw'"),
    ({}, {"dirichlet": [1, 1, 1]}, "dirichlet of 3 components; the model has 2"),
    ({}, {"dirichlet": [1, -1]}, r"dirichlet \(1, -1\): expected a positive number"),
    ({"c": 0.5}, {"dirichlet": [1, 1]}, "dirichlet is the prior of c; leave c out"),
    (dict.fromkeys(FIT, 0.5), {}, "no parameter is free; give at least one of them a prior"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "options", "message"), REFUSALS)
def test_refusals(settings, options, message):
    with pytest.raises(InvalidInput, match=f"^.*{message}") as error:
        parameters(settings, **options)
    assert "\n" not in str(error.value)


def test_what_has_no_prior():
    with pytest.raises(InvalidInput, match="vsini has no default prior; give one in"):
        make_parameters(FIT, {n: p for n, p in DEFAULTS.items() if n != "vsini"})


def test_a_dirichlet_prior_is_of_all_fractions():
    with pytest.raises(InvalidInput, match=r"prior of c_2, c_3; name all or none in per_epoch"):
        of_three(dirichlet=[1, 1, 1], per_epoch=["c_2"], n_epochs=2)
    with pytest.raises(InvalidInput, match="fix all of c_2, c_3: they share a Dirichlet prior"):
        of_three(dirichlet=[1, 1, 1]).fix("c_2", 0.1)


def test_constraints_that_nearly_nothing_keeps():
    found = of_three(constraints=["teff_1 < teff_2", "teff_2 < teff_3", "teff_3 < teff_1"])
    with pytest.raises(InvalidInput, match=r"of 1\d+ draws from the priors 0 keep to teff_1"):
        found.draw(np.random.default_rng(1), 10)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tef_1", 1, r"fix: unknown parameter 'tef_1'; did you mean teff_1\?"),
        ("feh", 1, "feh is not free; there are teff_1, teff_2, logg, vsini, rv, c, ln_noise"),
        ("rv", np.inf, "fixed at inf; expected a finite number"),
        ("rv", "logg", "rv fixed at 'logg'; expected a number"),
        ("teff_1", 2000, "constraint teff_2 < teff_1 can never hold"),
    ],
)
def test_what_cannot_be_fixed(name, value, message):
    found = parameters({"feh": 0.0}, constraints=["teff_2 < teff_1"])
    with pytest.raises(InvalidInput, match=message):
        found.fix(name, value)


@pytest.mark.parametrize("theta", [np.zeros(8), np.zeros((2, 7)), np.zeros((1, 2, 8))])
def test_theta_of_another_shape(theta):
    for ask in (parameters().log_prior, parameters().table):
        with pytest.raises(InvalidInput, match=r"theta of shape .*; expected \(n, 8\): teff_1"):
            ask(theta)


@pytest.mark.parametrize("u", [0.5, np.zeros(7), np.zeros((2, 7)), np.zeros((1, 2, 8))])
def test_u_of_another_shape(u):
    with pytest.raises(InvalidInput, match=r"^u of shape .*; expected \(8,\) or \(n, 8\): teff_1"):
        parameters().quantile(u)
