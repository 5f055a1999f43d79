"""Orders: half-open ranges, their sources, and their pixels."""

import pickle

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, MissingFile, OrderError, UnreadableFile
from mixjobs.orders import Orders

WAVE = np.array([5000.0, 5001, 5002, 5004, 5008])


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("number", "wave_min", "wave_max")
    )


# --- ranges ---------------------------------------------------------------------------------------


@given(
    wave=st.lists(st.integers(1, 400), min_size=2, max_size=40, unique=True).map(sorted),
    data=st.data(),
)
def test_an_order_includes_its_lower_end_only(wave, data):
    wave = np.array(wave) / 4.0
    halves = st.integers(int(8 * wave[0]), int(8 * wave[-1])).map(lambda n: n / 8)
    pairs = (
        st.tuples(halves, halves)
        .map(sorted)
        .filter(lambda p: ((p[0] <= wave) & (wave < p[1])).any())
    )
    edges = np.array(data.draw(st.lists(pairs, min_size=1, max_size=4)))  # may overlap
    lo, hi = Orders.from_edges(edges).pixel_ranges(wave)
    for (low, high), first, after in zip(edges, lo, hi, strict=True):
        inside = np.flatnonzero((low <= wave) & (wave < high))
        assert inside.tolist() == list(range(first, after))


def test_every_pixel_is_in_one_of_the_adjacent_orders():
    lo, hi = Orders.from_edges([5000, 5002, 5004, np.nextafter(5008, np.inf)]).pixel_ranges(WAVE)
    assert (lo.tolist(), hi.tolist()) == ([0, 2, 3], [2, 3, 5])


@pytest.mark.parametrize(
    ("ends", "covered"),
    [
        ((5000, 5008), True),
        ((5000, np.nextafter(5008, np.inf)), True),  # an order that includes the last pixel
        ((5000.5, 5007), True),
        ((np.nextafter(5000, 0), 5008), False),
        ((5000, 5008.1), False),
        ((4990, 5001), False),
        ((4000, 4500), False),
        ((6000, 6500), False),
    ],
)
def test_a_partly_covered_order_is_uncovered(ends, covered):
    orders = Orders(np.array([7, 9]), np.array([5001.0, ends[0]]), np.array([5002.0, ends[1]]))
    assert orders.uncovered(WAVE) == ([] if covered else [1])
    if covered:
        orders.pixel_ranges(WAVE)
        return
    with pytest.raises(OrderError, match=r"order 9 .* is not covered .* 5000 to 5008 Å") as error:
        orders.pixel_ranges(WAVE)
    assert "\n" not in str(error.value)


def test_several_uncovered_orders_are_counted():
    with pytest.raises(OrderError, match=r"order 0 \(4000 to 4500 Å\) and 1 more are not"):
        Orders.from_edges([[4000, 4500], [5000, 5002], [6000, 7000]]).pixel_ranges(WAVE)


def test_an_order_between_two_pixels_is_refused():
    with pytest.raises(OrderError, match="contains no pixel") as error:
        Orders.from_edges([[5000, 5002], [5005, 5007]]).pixel_ranges(WAVE)
    assert (error.value.order, error.value.value) == (1, (5005, 5007))


# --- sources --------------------------------------------------------------------------------------


def test_log_spaced_orders_are_adjacent_and_equal_in_log():
    orders = Orders.log_spaced(20, 7000, 50000)
    assert (len(orders), orders.number.tolist()) == (20, list(range(20)))
    assert (orders.wave_min[0], orders.wave_max[-1]) == (7000, 50000)
    np.testing.assert_array_equal(orders.wave_max[:-1], orders.wave_min[1:])
    np.testing.assert_allclose(orders.wave_max / orders.wave_min, (50 / 7) ** (1 / 20))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 5000, 6000), "n"),
        ((2, 6000, 5000), "wave_min"),
        ((2, 5000, 5000), "wave_min"),
        ((2, 0, 5000), "wave_min"),
        ((2, np.nan, 5000), "wave_min"),
        ((2, 5000, np.inf), "wave_min"),
    ],
)
def test_log_spaced_refuses(arguments, name):
    with pytest.raises(OrderError) as error:
        Orders.log_spaced(*arguments)
    assert (error.value.name, error.value.order) == (name, None)


def test_edges_of_adjacent_orders_or_pairs_of_edges():
    adjacent = Orders.from_edges([5000, 5500, 6000])
    assert same(adjacent, Orders.from_edges([[5000, 5500], [5500, 6000]]))
    overlapping = Orders.from_edges(np.array([[5000, 5600], [5500, 6000]]))
    assert overlapping.wave_max.tolist() == [5600, 6000]
    assert len(Orders.from_edges([5000, 6000])) == 1


@pytest.mark.parametrize(
    ("edges", "name", "order", "value"),
    [
        ([5000], "edges", None, (1,)),
        ([], "edges", None, (0,)),
        (5000, "edges", None, ()),
        ([[5000, 5500, 6000]], "edges", None, (1, 3)),
        (np.zeros((0, 2)), "number", None, None),
        ([5000, "x"], "edges", None, [5000, "x"]),
        ([[1, 2], [3]], "edges", None, [[1, 2], [3]]),
        ([6000, 5000], None, 0, (6000, 5000)),
        ([5000, 5500, 5500], None, 1, (5500, 5500)),
        ([5000, np.inf], None, 0, (5000, np.inf)),
        ([-1, 5000], None, 0, (-1, 5000)),
        ([0, 5000], None, 0, (0, 5000)),
    ],
)
def test_invalid_edges_are_refused(edges, name, order, value):
    with pytest.raises(OrderError) as error:
        Orders.from_edges(edges)
    assert (error.value.name, error.value.order, error.value.value) == (name, order, value)


def test_nan_in_the_edges_is_refused():
    with pytest.raises(OrderError, match="order 0 extends from 5000 to nan Å"):
        Orders.from_edges([5000, np.nan, 6000])


def test_quantities_are_converted():
    expected = Orders.from_edges([5000, 5100, 5250])
    assert same(Orders.from_edges([500, 510, 525] * u.nm), expected)
    assert same(Orders.from_edges([500 * u.nm, 0.51 * u.um, 5250 * u.AA]), expected)
    assert same(Orders.from_edges([(500 * u.nm, 510 * u.nm), (5100, 5250)]), expected)
    assert same(Orders([0, 1], [500, 510] * u.nm, [5100, 5250] * u.AA), expected)
    assert same(Orders.log_spaced(3, 500 * u.nm, 1 * u.um), Orders.log_spaced(3, 5000, 10000))
    assert same(Orders.from_wavelengths({4: [500, 501] * u.nm}),
                Orders.from_wavelengths({4: [5000, 5010]}))  # fmt: skip


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Orders.from_edges([5000, 5100] * u.K), "edges"),
        (lambda: Orders([0], [5000] * u.s, [5100]), "wave_min"),
        (lambda: Orders.log_spaced(2, 5000, 6000 * u.km / u.s), "wave_max"),
        (lambda: Orders.from_wavelengths({4: [1, 2] * u.Hz}), "wavelengths"),
    ],
)
def test_quantities_of_other_dimensions_are_refused(make, name):
    with pytest.raises(InvalidInput) as error:
        make()
    assert error.value.name == name


def test_orders_from_wavelengths_span_their_pixels():
    waves = {22: WAVE[:3], 21: WAVE[1:]}
    orders = Orders.from_wavelengths(waves)
    assert orders.number.tolist() == [22, 21]
    lo, hi = orders.pixel_ranges(WAVE)
    assert [lo.tolist(), hi.tolist()] == [[0, 1], [3, 5]]
    assert orders.wave_max.tolist() == [np.nextafter(w[-1], np.inf) for w in waves.values()]


@pytest.mark.parametrize(
    ("wave", "facts"),
    [
        ([], {"order": 7, "value": (0,)}),
        ([[5000.0, 5001.0]], {"order": 7, "value": (1, 2)}),
        ([5001.0, 5000.0], {"order": 7, "value": 5000.0, "pixel": 1}),
        ([5000.0, np.inf], {"order": 7, "value": np.inf, "pixel": 1}),
    ],
)
def test_invalid_wavelengths_are_refused(wave, facts):
    with pytest.raises(OrderError) as error:
        Orders.from_wavelengths({6: [5000.0], 7: wave})
    assert {name: getattr(error.value, name) for name in facts} == facts


@pytest.mark.parametrize(
    ("number", "low", "high", "facts"),
    [
        ([3, 3], [1, 2], [2, 3], {"order": 3}),
        ([1, 2], [1], [2], {"name": "number", "value": (2,)}),
        ([[1]], [[1]], [[2]], {"name": "number", "value": (1, 1)}),
    ],
)
def test_invalid_arrays_are_refused(number, low, high, facts):
    with pytest.raises(OrderError) as error:
        Orders(np.array(number), np.array(low), np.array(high))
    assert {name: getattr(error.value, name) for name in facts} == facts


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("5000 5100\n5050 5200\n", [0, 1]),
        ("5000,5100\n5050 , 5200", [0, 1]),
        ("# Å\n\n5000\t5100  # first\n  5050 5200\n\n", [0, 1]),
        ("71 5000 5100\n70 5050 5200\n", [71, 70]),
        ("71, 5000., 5.1e3\r\n70, 5050, 5200\r\n", [71, 70]),
    ],
)
def test_tables_with_and_without_numbers(tmp_path, text, numbers):
    path = tmp_path / "orders.txt"
    path.write_text(text, encoding="utf-8", newline="")
    orders = Orders.from_table(path)
    assert orders.number.tolist() == numbers
    assert (orders.wave_min.tolist(), orders.wave_max.tolist()) == ([5000, 5050], [5100, 5200])
    assert same(orders, Orders.from_table(str(path)))


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "5000\n", "1 2 3 4\n", "5000 5100\n1 5000 5100\n", "lo hi\n",
     "1.5 5000 5100\n", "nan 5000 5100\n"],
)  # fmt: skip
def test_an_invalid_table_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "orders.txt"
    path.write_text(text)
    with pytest.raises(UnreadableFile, match=r"orders\.txt") as error:
        Orders.from_table(path)
    assert "\n" not in str(error.value)


def test_a_binary_file_is_not_a_table(tmp_path):
    (tmp_path / "orders.bin").write_bytes(b"\x89HDF\xff\xfe")
    with pytest.raises(UnreadableFile) as error:
        Orders.from_table(tmp_path / "orders.bin")
    assert error.value.path == str(tmp_path / "orders.bin")


@pytest.mark.parametrize("name", ["absent.txt", "."])
def test_a_missing_table_is_refused(tmp_path, name):
    with pytest.raises(MissingFile, match="no such order table"):
        Orders.from_table(tmp_path / name)


def test_a_reversed_order_in_a_table_is_named_by_its_number(tmp_path):
    path = tmp_path / "orders.txt"
    path.write_text("71 5000 5100\n70 5200 5150\n")
    with pytest.raises(OrderError) as error:
        Orders.from_table(path)
    assert (error.value.order, error.value.value) == (70, (5200, 5150))


# --- selections -----------------------------------------------------------------------------------

ECHELLE = Orders(np.array([71, 70, 69]), np.array([1.0, 2, 3]), np.array([2.0, 3, 4]))


def test_select_takes_numbers_in_the_given_sequence():
    chosen = ECHELLE.select([69, 71])
    assert chosen.number.tolist() == [69, 71]
    assert chosen.wave_min.tolist() == [3, 1]
    assert same(ECHELLE.take([2, 0]), chosen)
    assert same(ECHELLE.select(ECHELLE.number), ECHELLE)


def test_select_refuses_unknown_numbers():
    with pytest.raises(
        InvalidInput, match="there is no order 0, 3; choose from 71, 70, 69"
    ) as error:
        ECHELLE.select([0, 71, 3])
    assert (error.value.order, error.value.value) == (0, [0, 3])
    with pytest.raises(OrderError, match="no orders"):
        ECHELLE.select([])
    with pytest.raises(OrderError, match="order 70 is given twice"):
        ECHELLE.select([70, 70])


def test_repr_is_three_lines():
    assert repr(ECHELLE).splitlines() == [
        "<Orders>",
        "  orders      3 (71, 70, 69)",
        "  wavelength  1 to 4 Å",
    ]
    assert Orders.log_spaced(20, 7000, 50000).summary().startswith("20 orders (0, 1, 2, ..., 19)")


def test_arrays_are_copied_and_read_only():
    low = np.array([1.0, 2.0])
    orders = Orders(np.array([0, 1]), low, low + 1)
    low[0] = 0.5
    assert orders.wave_min[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        orders.wave_min[0] = 0.5


def test_pickling_keeps_the_orders():
    assert same(pickle.loads(pickle.dumps(ECHELLE)), ECHELLE)


def test_order_numbers_are_whole_numbers():
    with pytest.raises(OrderError) as error:
        Orders([1, 2.5], [1, 2], [2, 3])
    assert error.value.name == "number"
    assert Orders([1.0], [1], [2]).number.tolist() == [1]
