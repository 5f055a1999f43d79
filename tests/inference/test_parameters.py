"""Free, fixed and tied parameters of each epoch, and their prior."""

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mixjobs.errors import InvalidInput
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import LogUniform, Normal, Uniform

BASE_NAMES = ("teff_1", "teff_2", "logg", "feh", "vsini", "rv", "c", "ln_noise")
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


def make(settings=None, **options):
    return make_parameters(BASE_NAMES, DEFAULTS, settings, **options)


def of_three(settings=None, **options):
    return make_parameters(THREE, OF_THREE, settings, **options)


def test_all_free():
    parameters = make()
    assert parameters.names == BASE_NAMES
    x = parameters.draw(np.random.default_rng(1), 5)
    (params,) = parameters.params(x)
    assert np.array_equal(params, x)
    assert np.array_equal(parameters.bounds[[0, 3]], [[4000, 7000], [-np.inf, np.inf]])


@given(st.integers(0, 2**32 - 1), st.sets(st.sampled_from(BASE_NAMES), min_size=1))
def test_the_prior_is_the_product_of_the_priors(seed, free):
    rng = np.random.default_rng(seed)
    parameters = make({name: 0.5 for name in BASE_NAMES if name not in free})
    x = np.column_stack([PEERS[name].rvs(20, random_state=rng) for name in parameters.names])
    x *= rng.choice([1, 1.3], x.shape, p=[0.9, 0.1])  # some are outside
    with np.errstate(divide="ignore"):
        each = [PEERS[n].logpdf(x[:, k]) for k, n in enumerate(parameters.names)]
    expected = np.sum(each, axis=0)
    assert parameters.log_prior(x) == pytest.approx(expected, rel=1e-9)


@st.composite
def rules(draw):
    """Draw for each name a value, a tie to a later one in a shuffled order, or neither."""
    order = draw(st.permutations([name for name in BASE_NAMES if name != "c"]))
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
def test_params_agree_with_plain_recursion(drawn, seed):
    parameters = make({name: text(rule) for name, rule in drawn.items()})
    assert parameters.names == tuple(name for name in BASE_NAMES if name not in drawn)
    x = np.random.default_rng(seed).normal(size=(3, len(parameters.names)))
    (params,) = parameters.params(x)
    for row, values in zip(params, x, strict=True):
        free = dict(zip(parameters.names, values, strict=True))
        expected = [plain_value(name, drawn, free) for name in BASE_NAMES]
        assert row == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [
        ("rv", "12 km/s", "km/s"), ("vsini", "-1.2e1km/s", "km/s"), ("teff_1", "5600K", "K"),
        ("logg", "4.5", "number"), ("logg", "4.5 dex", "number"),
    ],
)  # fmt: skip
def test_a_number_as_text(name, text, unit):
    with pytest.raises(InvalidInput, match=unit) as error:
        make({name: text})
    assert (error.value.name, error.value.value) == (name, text)


@pytest.mark.parametrize(
    ("tie", "expected"),
    [
        ("teff_1", 5000), (" teff_1 ", 5000), ("teff_1-100", 4900), ("teff_1 + .5", 5000.5),
        ("2*teff_1", 10000), ("0.5 * teff_1 + 1e2", 2600), ("-1 * teff_1 - 3.", -5003),
    ],
)  # fmt: skip
def test_ties(tie, expected):
    parameters = make({"teff_2": tie})
    x = np.full((1, len(parameters.names)), 5000.0)
    assert parameters.params(x)[0][0, 1] == expected


def test_epochs():
    parameters = make({"rv_e2": 7.0, "feh": 0.1}, per_epoch=["rv", "c"], n_epochs=3)
    assert parameters.names == (
        "teff_1", "teff_2", "logg", "vsini", "rv_e1", "rv_e3", "c_e1", "c_e2", "c_e3", "ln_noise",
    )  # fmt: skip
    by_epoch = parameters.params([np.arange(10.0)])
    assert [params.tolist() for params in by_epoch] == [
        [[0, 1, 2, 0.1, 3, 4, 6, 9]], [[0, 1, 2, 0.1, 3, 7.0, 7, 9]], [[0, 1, 2, 0.1, 3, 5, 8, 9]]
    ]  # fmt: skip


def test_a_setting_applies_to_epochs_without_their_own():
    parameters = make(
        {"rv": {"uniform": [0, 1]}, "rv_e2": {"uniform": [5, 6]}}, per_epoch=["rv"], n_epochs=3
    )
    places = [parameters.names.index(f"rv_e{e}") for e in (1, 2, 3)]
    assert parameters.bounds[places].tolist() == [[0, 1], [5, 6], [0, 1]]
    fixed = make({"rv": 3.0}, per_epoch=["rv"], n_epochs=2)
    assert [entry for entry in fixed.entries() if entry.name.startswith("rv")] == [
        ("rv_e1", "fixed", "3"), ("rv_e2", "fixed", "3")
    ]  # fmt: skip


def test_one_epoch_has_no_suffix():
    assert make(per_epoch=["rv", "c"]).names == BASE_NAMES


def test_numbered_names_and_ties_in_each_epoch():
    parameters = of_three({"rv_3": "rv_2 + 1", "rv_2_e2": 5}, per_epoch=["rv", "c"], n_epochs=2)
    assert parameters.names[3:] == ("rv_1_e1", "rv_1_e2", "rv_2_e1", "c_2_e1", "c_2_e2", "c_3_e1",
                               "c_3_e2")  # fmt: skip
    first, second = parameters.params([np.arange(10.0)])
    assert first.tolist() == [[0, 1, 2, 3, 5, 6, 6, 8]]
    assert second.tolist() == [[0, 1, 2, 4, 5, 6, 7, 9]]


def test_constraints():
    parameters = make({"feh": 0.0}, constraints=["teff_2 < teff_1", "logg>feh"])
    x = parameters.draw(np.random.default_rng(2), 500)
    assert x.shape == (500, 7)
    assert (x[:, 1] < x[:, 0]).all()
    free = make({"feh": 0.0})
    assert np.array_equal(parameters.log_prior(x), free.log_prior(x))  # not renormalised
    broken = x[:1].copy()
    broken[0, :2] = 4500, 5000
    assert np.isfinite(free.log_prior(broken)).all()
    assert parameters.log_prior(broken) == -np.inf
    broken[0, :2] = 4500, 4500
    assert parameters.log_prior(broken) == -np.inf


def test_a_constraint_applies_in_each_epoch_and_to_ties():
    parameters = of_three({"rv_3": "rv_2 + 1"}, per_epoch=["rv"], n_epochs=2,
                     constraints=["rv_1 < rv_3"])  # fmt: skip
    x = parameters.draw(np.random.default_rng(2), 300)
    assert all((params[:, 3] < params[:, 5]).all() for params in parameters.params(x))
    for epoch in (1, 2):
        broken = x[:1].copy()
        broken[0, parameters.names.index(f"rv_1_e{epoch}")] = 90
        broken[0, parameters.names.index(f"rv_2_e{epoch}")] = 80
        assert parameters.log_prior(broken) == -np.inf


def test_draws_follow_the_priors():
    parameters = make(constraints=["teff_2 < teff_1"])
    x = parameters.draw(np.random.default_rng(5), 3000)
    for name in BASE_NAMES[2:]:
        drawn = x[:, BASE_NAMES.index(name)]
        assert stats.kstest(drawn, PEERS[name].cdf).pvalue > 0.01
    teff_1 = np.linspace(4000, 7000, 30001)
    kept = np.minimum(teff_1, 6000) - 3000  # width of the prior of teff_2 below teff_1
    assert x[:, 0].mean() == pytest.approx((teff_1 * kept).sum() / kept.sum(), abs=50)


def test_prior_transform():
    parameters = of_three(dirichlet=[1, 2, 3])
    assert parameters.prior_transform(np.full((1, 8), 0.5))[0, :6].tolist() == [0] * 6
    x = parameters.prior_transform(np.random.default_rng(1).random((2000, 8)))
    assert np.isfinite(parameters.log_prior(x)).all()
    assert stats.kstest(x[:, 7], stats.beta(3, 3).cdf).pvalue > 0.01
    u = np.random.default_rng(2).random((3, 8))
    rows = [parameters.prior_transform(row).tolist() for row in u]
    assert rows == parameters.prior_transform(u).tolist()


def test_outside():
    parameters = make()
    rows = parameters.draw(np.random.default_rng(1), 3)
    for column, value in ((0, 3999), (4, -1), (6, np.nan), (3, np.inf), (6, 1.01), (7, -np.inf)):
        x = rows.copy()
        x[1, column] = value
        assert (parameters.log_prior(x) == -np.inf).tolist() == [False, True, False]


def test_filling_factors_add_up_to_at_most_1():
    """Of three components, c_2 and c_3 must not add up to more than 1."""
    parameters = of_three()
    x = np.zeros((3, 8))
    x[:, 6:] = [[0.5, 0.4], [0.5, 0.6], [0.5, 0.5]]
    assert np.isfinite(parameters.log_prior(x)).tolist() == [True, False, True]
    assert (parameters.draw(np.random.default_rng(1), 500)[:, 6:].sum(axis=1) <= 1).all()
    wide = make({"c": {"normal": [0, 5]}})
    assert (wide.draw(np.random.default_rng(1), 500)[:, 6] >= 0).all()


@pytest.mark.parametrize("epochs", [1, 2])
def test_dirichlet_in_each_epoch(epochs):
    alpha = (2, 1, 3)
    parameters = of_three(dirichlet=alpha, per_epoch=["c"], n_epochs=epochs)
    x = parameters.draw(np.random.default_rng(4), 50)
    expected = 6 * stats.uniform(-100, 200).logpdf(0)
    own = ["c_{}"] if epochs == 1 else ["c_{}_e1", "c_{}_e2"]
    for name in own:
        c = x[:, [parameters.names.index(name.format(k)) for k in (2, 3)]]
        every = np.column_stack([1 - c.sum(axis=1), c])
        expected = expected + np.array([stats.dirichlet(alpha).logpdf(row) for row in every])
    assert parameters.log_prior(x) == pytest.approx(expected)
    assert parameters.entries()[-1].prior == "Dirichlet 2, 1, 3"


def test_dirichlet_of_shared_fractions():
    parameters = of_three(dirichlet=(2, 1, 3), n_epochs=2)
    assert parameters.names[6:] == ("c_2", "c_3")
    x = np.zeros((1, 8))
    x[0, 6:] = 0.25, 0.25
    expected = 6 * np.log(1 / 200) + stats.dirichlet((2, 1, 3)).logpdf([0.5, 0.25, 0.25])
    assert parameters.log_prior(x) == pytest.approx(expected)


def test_fix():
    parameters = make(
        {"ln_noise": "optimum", "feh": "logg"}, per_epoch=["c", "ln_noise"], n_epochs=2
    )
    assert parameters.optimum == ("ln_noise_e1", "ln_noise_e2")
    assert parameters.fix("ln_noise_e1", 0.25).optimum == ("ln_noise_e2",)
    fixed = parameters.fix("ln_noise", 0.25).fix("logg", 4.5).fix("c", 0)
    assert fixed.optimum == ()
    assert fixed.names == ("teff_1", "teff_2", "vsini", "rv")
    assert parameters.base_names == fixed.base_names
    for params in fixed.params([[5000, 4000, 5, 10]]):
        assert params.tolist() == [[5000, 4000, 4.5, 4.5, 5, 10, 0, 0.25]]
    assert parameters.names[-1] == "ln_noise_e2"  # the original is unchanged


def test_fix_all_fractions():
    fixed = of_three(dirichlet=[1, 1, 1]).fix("c", 0.0)
    assert fixed.names == THREE[:6]
    assert np.isfinite(fixed.log_prior(np.zeros((1, 6)))).all()


def test_entries():
    parameters = make(
        {"feh": 0.0, "teff_2": "0.5 * teff_1 - 10", "ln_noise": "optimum"},
        per_epoch=["rv"],
        n_epochs=2,
    )
    assert [tuple(entry) for entry in parameters.entries()] == [
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
# Settings, options, and the name and value that the error states.
REFUSALS = [
    ({"tef_1": 5000}, {}, "tef_1", None),
    ({"rv_e1": 5}, {}, "rv_e1", None),
    ({"teff_2": "teff_3 + 1"}, {}, "teff_3", None),
    ({"teff_2": "teff_1 * 2"}, {}, "teff_2", "teff_1 * 2"),
    ({"teff_2": ""}, {}, "teff_2", ""),
    ({"teff_2": "0 * teff_1"}, {}, "teff_2", "0 * teff_1"),
    ({"teff_2": "1e999 * teff_1"}, {}, "teff_2", "1e999 * teff_1"),
    ({"teff_2": "teff_2"}, {}, "teff_2", None),
    ({"logg": "feh", "feh": "rv", "rv": "logg"}, {}, "logg", None),
    ({"logg": "rv"}, EPOCHS, "rv", None),
    ({"feh": np.inf}, {}, "feh", np.inf),
    ({"feh": True}, {}, "feh", True),
    ({"feh": [1]}, {}, "feh", [1]),
    ({"feh": {"uniform": [1, 0]}}, {}, "feh", {"uniform": [1, 0]}),
    ({"teff_1": "optimum"}, {}, "teff_1", "optimum"),
    ({}, {"constraints": ["teff_2 < teff_3"]}, "teff_3", None),
    ({}, {"constraints": ["teff_2"]}, "constraints", "teff_2"),
    ({}, {"constraints": ["a < b < c"]}, "constraints", "a < b < c"),
    ({}, {"constraints": ["rv < rv"]}, "constraints", "rv < rv"),
    ({}, {"constraints": ["teff_1 < c"]}, "constraints", "teff_1 < c"),
    ({"teff_2": "teff_1 + 1"}, {"constraints": ["teff_2 < teff_1"]}, "constraints",
     "teff_2 < teff_1"),
    ({"teff_2": 8000}, {"constraints": ["teff_2 < teff_1"]}, "constraints", "teff_2 < teff_1"),
    ({"teff_1": 1, "teff_2": 1}, {"constraints": ["teff_2 < teff_1"]}, "constraints",
     "teff_2 < teff_1"),
    ({}, {"per_epoch": ["rw"], "n_epochs": 2}, "rw", None),
    ({}, {"per_epoch": ["rw"]}, "rw", None),
    ({}, {"dirichlet": [1, 1, 1]}, "dirichlet", (1.0, 1.0, 1.0)),
    ({}, {"dirichlet": [1, -1]}, "dirichlet", (1, -1)),
    ({"c": 0.5}, {"dirichlet": [1, 1]}, "c", 0.5),
    (dict.fromkeys(BASE_NAMES, 0.5), {}, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "options", "name", "value"), REFUSALS)
def test_refusals(settings, options, name, value):
    with pytest.raises(InvalidInput) as refused:
        make(settings, **options)
    assert (refused.value.name, refused.value.value) == (name, value)
    assert "\n" not in str(refused.value)


def test_a_misspelt_name_is_corrected():
    with pytest.raises(InvalidInput, match=r"did you mean teff_1\?"):
        make({"tef_1": 5000})


def test_a_parameter_without_a_prior():
    priors = {name: prior for name, prior in DEFAULTS.items() if name != "vsini"}
    with pytest.raises(InvalidInput) as refused:
        make_parameters(BASE_NAMES, priors)
    assert refused.value.name == "vsini"


def test_a_dirichlet_prior_covers_all_fractions():
    with pytest.raises(InvalidInput) as refused:
        of_three(dirichlet=[1, 1, 1], per_epoch=["c_2"], n_epochs=2)
    assert refused.value.name == "per_epoch"
    with pytest.raises(InvalidInput) as refused:
        of_three(dirichlet=[1, 1, 1]).fix("c_2", 0.1)
    assert refused.value.name == "c_2"


def test_constraints_that_almost_no_draw_satisfies():
    parameters = of_three(constraints=["teff_1 < teff_2", "teff_2 < teff_3", "teff_3 < teff_1"])
    with pytest.raises(InvalidInput, match=r"^0 of 1\d+ draws") as refused:
        parameters.draw(np.random.default_rng(1), 10)
    assert refused.value.name == "constraints"


@pytest.mark.parametrize(
    ("name", "value", "fact"),
    [
        ("tef_1", 1, "tef_1"),
        ("feh", 1, "feh"),
        ("rv", np.inf, "rv"),
        ("rv", "logg", "rv"),
        ("rv", 500 * u.K, "rv"),
        ("c", 1 * u.km, "c"),
        ("teff_1", 2000, "constraints"),
    ],
)
def test_invalid_fixed_values(name, value, fact):
    parameters = make({"feh": 0.0}, constraints=["teff_2 < teff_1"])
    with pytest.raises(InvalidInput) as refused:
        parameters.fix(name, value)
    assert refused.value.name == fact


def test_quantities_are_converted_to_the_unit_of_the_parameter():
    """500 m/s becomes 0.5 km/s, and 40 % a filling factor of 0.4."""
    velocity, kilokelvin = u.km / u.s, 1000 * u.K
    parameters = make({
        "rv": 500 * u.m / u.s,
        "vsini": {"uniform": [1, 2] * velocity},
        "teff_1": {"normal": [5 * kilokelvin, 100 * u.K], "low": 4500 * u.K},
        "c": 40 * u.percent,
    })  # fmt: skip
    assert parameters.rules["rv"] == 0.5
    assert parameters.rules["vsini"] == Uniform(1, 2)
    assert parameters.rules["teff_1"] == Normal(5000, 100, low=4500)
    assert parameters.rules["c"] == pytest.approx(0.4)
    of_epochs = make(**EPOCHS)
    assert of_epochs.fix("rv", 500 * u.m / u.s).rules["rv_e2"] == 0.5
    assert of_epochs.fix("rv_e1", 500 * u.m / u.s).rules["rv_e1"] == 0.5
    with pytest.raises(InvalidInput) as refused:
        make({"rv": {"uniform": [1, 2] * u.K}})
    assert refused.value.name == "rv"


@pytest.mark.parametrize("x", [1.0, np.zeros(7), np.zeros((2, 7)), np.zeros((1, 2, 8))])
def test_invalid_arrays_are_refused(x):
    """Also quantities: a vector of parameters has no single unit."""
    parameters = make()
    for method, called in (("log_prior", "x"), ("params", "x"), ("prior_transform", "u")):
        for argument in (x, np.zeros(8) * u.km / u.s, ["a"] * 8):
            with pytest.raises(InvalidInput) as refused:
                getattr(parameters, method)(argument)
            assert refused.value.name == called


def test_a_vector_equals_one_sample():
    parameters = make({"feh": "logg"}, constraints=["teff_2 < teff_1"], **EPOCHS)
    x = parameters.prior_transform(np.random.default_rng(3).random((40, 8)))
    log_prior, by_epoch = parameters.log_prior(x), parameters.params(x)
    assert np.isneginf(log_prior).any()
    assert [parameters.log_prior(row) for row in x] == log_prior.tolist()
    assert isinstance(parameters.log_prior(x[0]), float)
    for row in range(40):
        for epoch in range(2):
            assert parameters.params(x[row])[epoch].tolist() == by_epoch[epoch][row].tolist()


def test_a_summary_lists_the_parameters():
    text = repr(make({"feh": 0.0}, constraints=["teff_2 < teff_1"]))
    for words in ("<Parameters>", "free, uniform 4000 to 7000", "fixed, 0", "teff_2 < teff_1"):
        assert words in text
