"""Sections of a library: which one an order is read from, and the gaps between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import OrderError
from mixjobs.orders import Orders
from mixjobs.sections import Section, choose_section, find_gaps

FILES = [
    Section(0, np.linspace(5000, 5100, 101)),
    Section(101, np.linspace(5080, 5200, 121)),
    Section(222, np.linspace(5300, 5400, 101)),
]
STITCHED = Section(323, np.linspace(5000, 5200, 201), stitched=True)
ALL = [*FILES, STITCHED]


@st.composite
def section_lists(draw):
    sections, start = [], 0
    for _ in range(draw(st.integers(1, 5))):
        first = draw(st.floats(4000, 6000))
        wave = first + np.arange(draw(st.integers(2, 50)))
        sections.append(Section(start, wave))
        start += len(wave)
    return sections


class TestChoice:
    @pytest.mark.parametrize(
        ("low", "high", "buffer", "expected"),
        [
            (5030, 5040, 0.0, FILES[0]),
            (5084, 5094, 0.0, FILES[0]),  # 6 Å from its end, 4 Å from the start of the other
            (5086, 5096, 0.0, FILES[1]),
            (5084, 5094, 0.002, STITCHED),  # only the stitched run has 10 Å on both sides
            (5030, 5040, 0.002, FILES[0]),
            (5070, 5150, 0.0, STITCHED),
            (5350, 5360, 0.0, FILES[2]),
            (5350, 5360, 0.1, FILES[2]),  # no section has the buffer
        ],
    )
    def test_one_file_is_preferred(self, low, high, buffer, expected):
        assert choose_section(ALL, low, high, buffer) is expected

    def test_finer_pixels_are_preferred(self):
        coarse = Section(0, np.linspace(4000, 6000, 201))
        fine = Section(201, np.linspace(5000, 5100, 101))
        for sections in ([coarse, fine], [fine, coarse]):
            assert choose_section(sections, 5040, 5050) is fine
            assert choose_section(sections, 5040, 5050, 0.005) is fine
            assert choose_section(sections, 5040, 5050, 0.05) is coarse
            assert choose_section(sections, 5090, 5110) is coarse

    @given(section_lists(), st.floats(4000, 6000), st.floats(0.1, 60), st.floats(0, 0.01))
    def test_an_order_is_covered_if_any_section_covers_it(self, sections, low, width, buffer):
        high = low + width
        covers = [s.wavelength[0] <= low and high <= s.wavelength[-1] for s in sections]
        section = choose_section(sections, low, high, buffer)
        assert (section.headroom(low, high) >= 0) == any(covers)
        if any(covers):
            orders = Orders([7], [low], [high])
            pixels = [k for k, w in enumerate(section.wavelength) if low <= w < high]
            if pixels:
                lo, hi = orders.pixel_ranges(sections, buffer)
                assert (lo[0], hi[0]) == (section.start + pixels[0], section.start + pixels[-1] + 1)

    @given(section_lists(), st.floats(4000, 6100))
    def test_a_wavelength_is_in_a_gap_or_in_a_section(self, sections, wave):
        inside = any(s.wavelength[0] <= wave <= s.wavelength[-1] for s in sections)
        gaps = find_gaps(sections)
        in_gap = any(low < wave < high for low, high in gaps)
        beyond = wave < min(s.wavelength[0] for s in sections) or wave > max(
            s.wavelength[-1] for s in sections
        )
        assert [inside, in_gap, beyond].count(True) == 1


class TestUncovered:
    @pytest.mark.parametrize(
        ("low", "high", "gap"),
        [
            (5190, 5210, (5200, 5300)),
            (5220, 5250, (5200, 5300)),
            (5290, 5310, (5200, 5300)),
            (5100, 5350, (5200, 5300)),
            (4990, 5010, None),
            (5390, 5410, None),
        ],
    )
    def test_an_order_in_a_gap_names_it(self, low, high, gap):
        orders = Orders([3, 9], [5010.0, low], [5020.0, high])
        assert orders.uncovered(ALL) == [1]
        with pytest.raises(OrderError) as error:
            orders.pixel_ranges(ALL)
        assert error.value.order == 9
        assert (error.value.name, error.value.value) == (
            ("gap", gap) if gap else (None, (low, high))
        )
