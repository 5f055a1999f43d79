"""The file of messages is current."""

import difflib

from tests.messages.collect import FILE, collect


def test_the_file_of_messages_is_current():
    recorded, current = FILE.read_text(encoding="utf-8"), collect()
    changes = difflib.unified_diff(recorded.splitlines(), current.splitlines(), n=1, lineterm="")
    assert recorded == current, "\n".join(
        ["read the changes, then run python -m tests.messages", *changes]
    )


def test_there_are_enough_messages():
    """At least 120 lines of error."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("mixjobs") for line in lines) >= 120
