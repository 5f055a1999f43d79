"""Masks of what differs between machines, versions and runs."""

import re
from pathlib import Path

# In the order in which they apply.
_MASKS = (
    (r"\d{4}-\d\d-\d\dT[\d:+]+", "DATE"),
    (r'(?<!["\d])\d+:\d\d:\d\d', "H:MM:SS"),
    (r"http://127\.0\.0\.1:\d+", "http://ADDRESS"),
    (r"\b\d+\.\d+\.\d+(\.\w+|\+[\w.]+)*", "VERSION"),
    (r"\((Unable to|Can't) ([^()]|\(([^()]|\(\))*\))*\)", "(TEXT OF HDF5)"),
    (r"\(No group found in store ([^()]|\([^()]*\))*\)", "(TEXT OF ZARR)"),
    (r"(not a valid TOML file: ).*", r"\1TEXT OF TOMLLIB"),
    (r"\(choose from .*?\)", "(choose from ...)"),  # argparse
    (r"\.(\w|\.)+\.[0-9a-f]{32}\.aside", "TEMPORARY"),
    (r"process \d+ on \S+", "process N on HOST"),
    (r"[\d.]+ [kMG]i?B\b", "SIZE"),
    (r"[\de.+-]+ (µs|ms|s)\b(?!/)", "TIME"),
    (r"[\de.+-]+ per second", "N per second"),
    (r"\d+ processes on this machine", "N processes on this machine"),
)
_BOX = str.maketrans("", "", "┏┓┗┛┡┩┳┻╇┴├┤┼┬╭╮╰╯└┘┌┐")


def mask(text, root):
    """Mask paths, versions, times, sizes and the text of other packages."""
    for folder in (Path.cwd(), root.resolve(), root):
        text = text.replace(f"{folder}/", "")
    for pattern, replacement in _MASKS:
        text = re.sub(pattern, replacement, text)
    return text


def mask_numbers(text):
    """Mask the results of a computation, and join the table rows that this makes equal."""
    text = re.sub(r"[-−+]?\d+(\.\d+)?([eE][-+]?\d+)", "#", text)
    text = re.sub(r"[-−+]?\d*\.\d+", "#", text)
    text = re.sub(r"(?<![\w.])[-−+]?\d{2,}(?!\w| %)", "#", text)
    text = re.sub(r"/ \d+\b", "/ #", text)
    lines = (re.sub(" {2,}", " ", line.translate(_BOX)).rstrip(" ─━═") for line in text.split("\n"))
    kept = [line for line in lines if line.strip("│┃ ")]
    return "\n".join(line for n, line in enumerate(kept) if n == 0 or line != kept[n - 1])
