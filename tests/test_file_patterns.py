"""Patterns of file names: what matches, and the numbers in the names."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.file_patterns import is_pattern, matching_files, numbers_in_names

TEXT = st.text("abm_-.", min_size=0, max_size=3)
NUMBER = st.integers(0, 400)


def touch(folder, *names):
    """Make empty files."""
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path(folder)


@st.composite
def order_files(draw):
    """Names that differ in one number among others, that number, and its text before and after."""
    before = "s" + draw(TEXT) + draw(st.sampled_from(["", "2015", "1063"])) + "_" + draw(TEXT) + "m"
    after = "_" + draw(TEXT) + draw(st.sampled_from(["", "20", "0064"])) + ".hdf5"
    numbers = sorted(draw(st.sets(NUMBER, min_size=2, max_size=5)))
    width = draw(st.sampled_from([0, 3]))
    return before, after, numbers, width


class TestNumbers:
    @given(
        order_files(), st.sampled_from(["{before}*{after}", "{before}*", "s*", "s*{order}{after}"])
    )
    def test_the_number_that_differs(self, drawn, form):
        before, after, numbers, width = drawn
        pattern = form.replace("{before}", before).replace("{after}", after)
        with tempfile.TemporaryDirectory() as folder:
            touch(folder, *(f"{before}{n:0{width}}{after}" for n in numbers))
            files = matching_files(Path(folder, pattern))
            assert len(files) == len(numbers)
            assert numbers_in_names(Path(folder, pattern), files) == numbers

    @pytest.mark.parametrize(
        ("pattern", "name", "number"),
        [
            ("S1063_IGRINS_m*.hdf5", "S1063_IGRINS_m110.hdf5", 110),
            ("S1063_IGRINS_m1*.hdf5", "S1063_IGRINS_m110.hdf5", 110),
            ("S1063_IGRINS_m11[0].hdf5", "S1063_IGRINS_m110.hdf5", 110),
            ("star_*.hdf5", "star_m091.hdf5", 91),
            ("*/star.fits", "m091/star.fits", 91),
            ("s*_m{order}.fits", "s20_m091.fits", 91),
            ("star*.hdf5", "star.hdf5", None),
            ("star*.hdf5", "starry.hdf5", None),
        ],
    )
    def test_a_single_name(self, tmp_path, pattern, name, number):
        files = matching_files(touch(tmp_path, name) / pattern)
        expected = None if number is None else [number]
        assert numbers_in_names(tmp_path / pattern, files) == expected

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("s*.fits", ["s_m91_20150102.fits", "s_m92_20150103.fits"]),  # two numbers differ
            ("s*.fits", ["s_m91.fits", "s_mean.fits"]),
            ("s*.fits", ["s_m91.fits", "s_m92.fits", "s_m92_old.fits"]),
            ("s*", ["s_m91.fits", "s_m91.hdf5"]),
            ("s*.fits", ["s_m1.fits", "s_m01.fits"]),
            ("s*.fits", ["s_20150102_m91.fits"]),
            ("s*m91.fits", ["s1063_m91.fits"]),  # 1063 is no order
        ],
    )
    def test_unclear_names(self, tmp_path, pattern, names):
        files = matching_files(touch(tmp_path, *names) / pattern)
        with pytest.raises(InvalidInput) as error:
            numbers_in_names(tmp_path / pattern, files)
        assert error.value.path == str(tmp_path / pattern)

    def test_the_place_of_the_number(self, tmp_path):
        touch(tmp_path, "s_m91_20150102.fits", "s_m092_20150103.fits", "s_mean_2015.fits")
        pattern = tmp_path / "s_m{order}_*.fits"
        files = matching_files(pattern)
        assert numbers_in_names(pattern, files) == [91, 92]
        with pytest.raises(InvalidInput):
            matching_files(tmp_path / "{order}/s_m{order}_*.fits")


class TestMatching:
    def test_natural_sequence(self, tmp_path):
        touch(tmp_path, "m10", "m9", "m100", "m1")
        assert [file.name for file in matching_files(tmp_path / "m*")] == [
            "m1",
            "m9",
            "m10",
            "m100",
        ]

    def test_hidden_files_and_folders_do_not_match(self, tmp_path):
        touch(tmp_path, "m9", "._m9", "m8/file")
        assert [file.name for file in matching_files(tmp_path / "*")] == ["m9"]

    def test_folders_that_look_like_patterns(self, tmp_path):
        folder = touch(tmp_path, "run [2015]*/m9", "run 2/m8").joinpath("run [2015]*")
        assert matching_files(folder / "m*") == [folder / "m9"]

    def test_relative_patterns(self, tmp_path, monkeypatch):
        monkeypatch.chdir(touch(tmp_path, "a/m9"))
        assert matching_files("*/m*") == [Path("a/m9")]
        assert matching_files(f"..{os.sep}{tmp_path.name}/a/m?") == [
            Path("..", tmp_path.name, "a", "m9")
        ]

    @pytest.mark.parametrize("name", ["star[1].hdf5", "star*.hdf5", "star_m{order}.hdf5"])
    def test_existing_names_are_no_patterns(self, tmp_path, name):
        assert is_pattern(tmp_path / name)
        assert not is_pattern(touch(tmp_path, name) / name)

    @pytest.mark.parametrize("pattern", ["x*", "no/folder/m*", "m9/*", "[", "f*"])
    def test_nothing_matches(self, tmp_path, pattern):
        touch(tmp_path, "m9", "folder/m9")
        with pytest.raises(MissingFile) as error:
            matching_files(tmp_path / pattern)
        assert error.value.path == str(tmp_path / pattern)
