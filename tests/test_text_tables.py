"""Tables of wavelength ranges, as text editors and spreadsheets write them."""

import codecs
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs import Orders
from mixjobs.errors import OrderError, UnreadableFile
from mixjobs.observed import masks
from mixjobs.text_tables import read_ranges

NAMES = {
    "number": ["order", "Order", "number", "m", "echelle order", "NO"],
    "low": ["wave_min", "lambda min", "WMIN", "low", "start", "lo", "blue", "order_start", "from"],
    "high": ["wave_max", "lambda max", "WMAX", "high", "end", "hi", "red", "order_end", "to"],
}
UNITS = {"": 1, "(nm)": 10, " [nm]": 10, "_nm": 10, " (Å)": 1, "(angstrom)": 1, "(um)": 1e4}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")


@st.composite
def tables(draw):
    """A table with a header line: its bytes, the numbers of its orders, and their ranges in Å."""
    numbers = draw(st.lists(st.integers(0, 200), min_size=1, max_size=4, unique=True))
    low = draw(st.lists(st.integers(3000, 9000), min_size=len(numbers), max_size=len(numbers)))
    unit = draw(st.sampled_from(list(UNITS)))
    values = {
        "number": [str(number) for number in numbers],
        "low": [repr(wave / UNITS[unit]) for wave in low],
        "high": [repr((wave + 50) / UNITS[unit]) for wave in low],
    }
    names = draw(st.permutations(list(NAMES)))
    words = [draw(st.sampled_from(NAMES[name])) + unit * (name != "number") for name in names]
    lines = [words, *zip(*(values[name] for name in names), strict=True)]
    mark = draw(st.sampled_from([",", ";", "\t", " , "]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(["# orders of a spectrograph", *(mark.join(line) for line in lines), ""])
    return text.encode(draw(st.sampled_from(ENCODINGS))), numbers, low


@given(tables())
def test_a_header_line_names_the_columns_and_their_unit(table):
    content, numbers, low = table
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "orders.txt")
        path.write_bytes(content)
        orders = Orders.from_table(path)
    assert orders.number.tolist() == numbers
    np.testing.assert_allclose(orders.wave_min, low, rtol=1e-14)
    np.testing.assert_allclose(orders.wave_max, np.array(low) + 50, rtol=1e-14)


@pytest.mark.parametrize("header", ["a b c", "m w1 w2", "order x y", "number from until"])
def test_columns_with_other_names_are_in_the_usual_sequence(header, tmp_path):
    (tmp_path / "orders.txt").write_text(f"{header}\n92 5000 5100\n")
    number, ranges = read_ranges(tmp_path / "orders.txt", numbered=True)
    assert (number.tolist(), ranges.tolist()) == ([92], [[5000, 5100]])


@pytest.mark.parametrize(
    ("header", "value"),
    [("low low", "low low"), ("order min", "order min"), ("min max order", "min max order"),
     ("low(furlong) high", "furlong"), ("low (air) high", "air")],
)  # fmt: skip
def test_a_header_that_cannot_be_followed_is_refused(header, value, tmp_path):
    (tmp_path / "ranges.txt").write_text(f"{header}\n5000 5100\n")
    with pytest.raises(UnreadableFile) as error:
        masks.read_ranges(tmp_path / "ranges.txt")
    assert (error.value.path, error.value.value) == (str(tmp_path / "ranges.txt"), value)


def test_a_header_that_contradicts_the_values_is_refused(tmp_path):
    (tmp_path / "orders.txt").write_text("wave_max wave_min\n5000 5100\n")
    with pytest.raises(OrderError):
        Orders.from_table(tmp_path / "orders.txt")


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_bytes_that_are_no_text_are_refused(mark, tmp_path):
    (tmp_path / "orders.txt").write_bytes(mark + b"5000 5100 # \xc5\n")
    with pytest.raises(UnreadableFile) as error:
        Orders.from_table(tmp_path / "orders.txt")
    assert error.value.path == str(tmp_path / "orders.txt")
