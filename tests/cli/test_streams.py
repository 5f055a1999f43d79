"""Output to terminals of any encoding, to closed pipes and to full disks."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.cli.streams import prepare_streams
from tests.helpers.small_fits import build_store

OUTSIDE = st.characters(blacklist_categories=[])  # with the surrogates of undecodable names


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build_store(tmp_path_factory.mktemp("streams"))


def run(*words, shell="", **env):
    """Run the command in a process, with a redirection of the shell after it."""
    program = f'"$0" -m mixjobs "$@" {shell}'
    return subprocess.run(
        ["sh", "-c", program, sys.executable, *map(str, words)],
        capture_output=True, env=os.environ | env, timeout=120,
    )  # fmt: skip


@given(st.text(OUTSIDE), st.sampled_from(["ascii", "latin-1", "cp437", "shift_jis", "utf-8"]))
def test_every_text_can_be_printed(text, encoding):
    prepare_streams()
    printed = text.encode(encoding, "mixjobs")
    assert printed.decode(encoding).isascii() or encoding != "ascii"
    if text.isascii():
        assert printed == text.encode("ascii")


ENCODINGS = (
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
)


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["info"], 0), (["info"], 1), (["info", "--json"], 0),
        (["ratio", "--theta1", "5000,4.5,0", "--theta2", "4500,4.5,0"], 1),
    ],
)  # fmt: skip
def test_an_encoding_without_our_characters(words, env, store):
    env = ENCODINGS[env]
    done = run(words[0], store, *words[1:], **env)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("ascii")
    if "--json" in words:
        assert json.loads(text) == json.loads(run(words[0], store, *words[1:]).stdout)


def test_help_in_ascii():
    done = run("build", "--help", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_an_error_about_a_name_that_is_not_text():
    done = run("info", b"star\xff.hdf5".decode(errors="surrogateescape"))
    assert done.returncode == 2
    assert b"star\\xff.hdf5" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("words", "buffered"), [(["info"], True), (["--help"], True), (["--help"], False)]
)
def test_output_that_cannot_be_written(words, buffered, store):
    words = words if "--help" in words else [words[0], store, *words[1:]]
    env = {"PYTHONUNBUFFERED": "" if buffered else "1"}
    for shell, status, lines in ((">&-", 0, 0), ("2>&-", 0, 0), (">/dev/full", 2, 1)):
        done = run(*words, shell=shell, **env)
        assert (done.returncode, done.stderr.count(b"\n")) == (status, lines)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "mixjobs", *map(str, words)]
    piped = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=os.environ | env)
    os.close(writing)
    assert (piped.returncode, piped.stderr) == (141, b"")
