"""Run the `mixjobs` command, in this process or in one of its own."""

import re
import subprocess
import sys
import time

# What a build says while all is well.
PROGRESS = re.compile(
    r"(mean_flux|flux_ratio|interpolators): \d+ of \d+ tasks, |dashboard: http|flux calibration: "
    r"|flux level: |emulator: |from your own machine: |left out \d+ orders"
    r"|.*: \d+ (points in|orders, )|writing .* spectra|sampling: step \d+|search: \d+ of"
)


# The same command, which looks for a scheduler that was lost for so many seconds, not for 20.
IMPATIENT = """
import sys
from mixjobs.cli import main
from mixjobs.cluster import address
address._CONNECT_SECONDS = 5
sys.exit(main())
"""


def start(*words, impatient=False, **options):
    """Start ``python -m mixjobs`` as a process that leads its own group, as a shell's jobs do."""
    program = ["-c", IMPATIENT] if impatient else ["-m", "mixjobs"]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def finish(process, seconds=60):
    """Wait for a process that `start` has made: its exit status, output and errors."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def complaints(err):
    """Lines of standard error that are not progress."""
    return [line for line in err.splitlines() if not PROGRESS.match(line)]


def wait_for(condition, seconds=60):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
