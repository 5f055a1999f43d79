"""The parser: options declared by models, negative numbers, completion, and a fast start."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.cli.options import parse_scan
from mixjobs.cli.parser import COMMANDS, METHODS, chosen_command, parser
from mixjobs.config.build import BuildConfig, EmulatorConfig, OrdersConfig
from mixjobs.config.sample import read_sample_job
from mixjobs.errors import InvalidInput
from mixjobs.interpolation import Method

SPECTRUM = ["spectrum", "q.zarr", "-o", "a.png"]


def parse(*words):
    return parser().parse_args(words)


# -- options that models declare --------------------------------------------------------------


def help_of(command):
    return " ".join(parser([command]).commands[command].format_help().split())


def test_help_shows_the_defaults_of_the_model():
    text = help_of("build")
    for name, field in EmulatorConfig.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        metavar = (field.json_schema_extra or {}).get("metavar", "{refuse,skip,shrink}")
        default = field.default
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        ending = f" (default: {shown})" if default is not None else ""
        assert f"{flag} {metavar} {field.description}{ending}" in text
    assert "--dtype {float64,float32} number format of the ratio table (default: float64)" in text
    assert "PydanticUndefined" not in text
    assert "None" not in text


def test_an_option_that_is_not_given_is_none():
    args = vars(parse("build", "grid.hdf5"))
    given = {name: value for name, value in args.items() if value not in (None, False)}
    assert given == {"command": "build", "source": ["grid.hdf5"]}


def test_every_field_has_an_option_or_a_group_of_options():
    flags = parser(["build"]).commands["build"].flags
    keys = {f"orders.{field.alias or name}" for name, field in OrdersConfig.model_fields.items()}
    keys |= {f"emulator.{name}" for name in EmulatorConfig.model_fields}
    plain = set(BuildConfig.model_fields) - {"library", "emulator", "cluster"}
    assert set(flags) == keys | plain


def test_types_of_options():
    args = parse(
        "build", "g", "--max-rv", "1e2", "--rank", "8", "--numbers", "21,-1", "--block", "2,30",
        "--short-buffer", "skip", "--no-table", "--select", "teff=1:2", "feh=-1:0",
    )  # fmt: skip
    assert (args.max_rv, args.rank, args.numbers, args.block) == (100.0, 8, [21, -1], [2, 30])
    assert (args.short_buffer, args.table) == ("skip", False)
    assert args.select == ["teff=1:2", "feh=-1:0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rank", "0"], "argument --rank: '0' "),
        (["--max-rv", "fast"], "argument --max-rv: 'fast' "),
        (["--short-buffer", "cut"], "argument --short-buffer: invalid choice: 'cut'"),
        (["--block", "2;3"], "argument --block: '2;3' "),
        (["--range", "5"], "argument --range: '5' "),
        (["--edges", "a"], "argument --edges: 'a' "),
        (["--quick"], "unknown option --quick"),
    ],
)
def test_invalid_options(words, message):
    with pytest.raises(InvalidInput) as error:
        parse("build", "g", *words)
    assert str(error.value).startswith(message)
    assert str(error.value).endswith("; see mixjobs build --help")


def test_methods_are_those_of_the_package():
    assert get_args(Method) == METHODS


# -- negative numbers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--rv", "-20,5"], "rv", [-20, 5]),
        (["--rv", "\N{MINUS SIGN}20,\N{MINUS SIGN}5"], "rv", [-20, -5]),
        (["--theta2", "feh=\N{MINUS SIGN}1.5"], "theta2", {"feh": -1.5}),
        (["--rv", "-20"], "rv", -20),
        (["--rv", "-1e3"], "rv", -1000),
        (["--rv", "-.5"], "rv", -0.5),
        (["--rv", "-.5e-2,-3.E1"], "rv", [-0.005, -30]),
        (["--rv=-20,5"], "rv", [-20, 5]),
        (["--c", "-0.1"], "c", -0.1),
        (["--theta2", "-1.5,4.0"], "theta2", [-1.5, 4]),
        (["--theta2", "-1.5,-4.0,-0"], "theta2", [-1.5, -4, 0]),
        (["--theta2", "feh=-1.5,teff=-1e3"], "theta2", {"feh": -1.5, "teff": -1000}),
        (["--vary", "rv=-20:20:5"], "vary", [("rv", [-20, -10, 0, 10, 20])]),
        (["--vary", "feh=-2:-1:2"], "vary", [("feh", [-2, -1])]),
        (["--blackbody", "3000", "-5", "-1e3"], "blackbody", [3000, -5, -1000]),
        (["--fwhm", "-6"], "fwhm", -6),
        (["--orders", "-3,21"], "orders", [-3, 21]),
    ],
)
def test_negative_numbers(words, name, value):
    args = parse(*SPECTRUM, "--theta1", "-1.5,4.0", *words)
    assert args.theta1 == [-1.5, 4.0]
    assert getattr(args, name) == value


def test_negative_ranges_of_a_build():
    args = parse("build", "g", "--range", "-5:-1", "--edges", "-1e3,-.5", "--max-rv", "-20")
    assert (args.range, args.edges, args.max_rv) == ((-5, -1), [-1000, -0.5], -20)


@pytest.mark.parametrize(
    ("words", "name", "phrase"),
    [
        (["--rv", "-inf"], "--rv", "finite"),
        (["--rv", "-NaN"], "--rv", "finite"),
        (["--rv", "-20km/s"], "--rv", "numbers in km/s, without a unit"),
        (["--rv=-20 km/s,5"], "--rv", "numbers in km/s, without a unit"),
        (["--fwhm", "5km/s"], "--fwhm", "numbers in km/s, without a unit"),
        (["--blackbody", "3000K"], "--blackbody", "numbers in K, without a unit"),
        (["--theta2", "5600K,4"], "--theta2", "without a unit"),
    ],
)
def test_numbers_are_finite_and_without_units(words, name, phrase):
    with pytest.raises(InvalidInput, match=phrase) as error:
        parse(*SPECTRUM, "--theta1", "1,2", *words)
    assert name in str(error.value)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
def test_any_numbers_are_values(numbers):
    text = ",".join(map(repr, numbers))
    args = parse(*SPECTRUM, "--rv", text, "--theta1", text)
    assert args.theta1 == numbers
    assert args.rv == (numbers if len(numbers) > 1 else numbers[0])


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(2, 50))
def test_a_scan_is_evenly_spaced(low, width, n):
    high = low + width
    name, values = parse_scan(f"rv={low!r}:{high!r}:{n}")
    assert name == "rv"
    assert values == np.linspace(low, high, n).tolist()


@pytest.mark.parametrize("word", ["-x", "--rw", "-e3", "--1"])
def test_unknown_options_are_still_errors(word):
    with pytest.raises(InvalidInput):
        parse(*SPECTRUM, "--theta1", "1,2", "--rv", word)


def test_the_job_file_in_the_help_of_sample(tmp_path):
    text = parser(["sample"]).commands["sample"].epilog.partition("all its keys):\n")[2]
    (tmp_path / "job.toml").write_text(text)
    job = read_sample_job(tmp_path / "job.toml")
    assert job.spectra[0].resolution == 44000
    assert job.parameters.settings["teff_1"].uniform == (4500, 5500)


# -- the command's words, completion and start ------------------------------------------------


@pytest.mark.parametrize(
    ("words", "command"),
    [([], None), (["--version"], None), (["info", "x"], "info"), (["--help", "info"], "info")],
)
def test_chosen_command(words, command):
    assert chosen_command(words) == command


def completions(line, cwd):
    """Complete a line as bash does with ``register-python-argcomplete``."""
    path = cwd / "completions"
    environment = os.environ | {
        "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "mixjobs"], env=environment, cwd=cwd, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
    return path.read_text().split("\v")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mixjobs ", {*COMMANDS, "--help", "--version", "-h"}),
        ("mixjobs s", {"status", "spectrum", "sample", "summary"}),
        ("mixjobs build g --max-r", {"--max-rv", "--max-residual", "--max-rank"}),
        ("mixjobs ratio q.zarr --method c", {"cubic "}),
        ("mixjobs spectrum q.zarr --theta1 -1,4 --medium ", {"air", "vacuum"}),
    ],
)
def test_completion(line, expected, tmp_path):
    assert set(completions(line, tmp_path)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("spectrum q --theta1 ", set()),
        ("spectrum q --vary ", set()),
        ("spectrum q --rv ", set()),
        ("build g --max-rv ", set()),
        ("build g --select ", set()),
        ("build g --numbers ", set()),
        ("build g --orders-from ", {"site.toml", "star.ecsv"}),
        ("summary ", {"site.toml", "star.ecsv"}),
        ("sample j --cluster ", {"local", "allocation", "slurm", "site.toml"}),
        ("cluster ", {"local", "allocation", "slurm", "site.toml"}),
    ],
)
def test_files_complete_only_where_files_are_expected(line, expected, tmp_path):
    for name in ("site.toml", "star.ecsv"):
        (tmp_path / name).touch()
    words = set(completions(f"mixjobs {line}", tmp_path))
    options = {word for word in words if word.startswith("-")}
    files = {word.strip() for word in words - options} - {"", "completions"}
    assert files == expected


def test_bash_registers_the_completion():
    folder = Path(sys.executable).parent
    script = 'eval "$(register-python-argcomplete --no-defaults mixjobs)" && complete -p mixjobs'
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert "_python_argcomplete" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], ("numpy", "pydantic", "rich", "dask", "argcomplete")),
        (["build", "--help"], ("numpy", "rich", "dask", "argcomplete")),
        (["spectrum", "--help"], ("numpy", "rich", "dask", "argcomplete")),
    ],
)
def test_modules_that_help_does_not_import(words, absent):
    """Help must not take more than about ten times as long as an empty program."""
    program = (
        "import sys\nfrom mixjobs.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert not set(absent) & set(done.stderr.split())
