"""The Python code in the documentation runs, and prints the text on the page.

``python -m tests.test_docs`` runs the pages and rewrites the printed text in them.
"""

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

import pytest
from matplotlib import pyplot

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ["python.md"]
# A block of code, and the block of printed text that may follow it.
BLOCK = re.compile(
    r"(?P<skip><!-- not run -->\n)?^```python\n(?P<code>.*?)^```\n"
    r"(?P<printed>\n```text\n(?P<text>.*?)^```\n)?",
    re.M | re.S,
)


def run_block(page: str, text: str, block: re.Match[str], names: dict[str, object]) -> str:
    """Run one block of a page, and return what it prints, with paths relative to the folder."""
    first_line = text.count("\n", 0, block.start("code"))
    source = "\n" * first_line + block["code"]  # so that line numbers in a traceback are right
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, DOCS / page, "exec"), names)
    return printed.getvalue().replace(f"{Path.cwd()}{os.sep}", "")


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run_and_print_the_text_of_the_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text(encoding="utf-8")
    names: dict[str, object] = {}
    blocks = [block for block in BLOCK.finditer(text) if not block["skip"]]
    assert len(blocks) == text.count("```python") - text.count("<!-- not run -->")
    for block in blocks:
        assert run_block(page, text, block, names) == (block["text"] or "")
    pyplot.close("all")


def rewrite(page: str) -> None:
    """Run a page, and replace the printed text in it."""
    path = DOCS / page
    text = path.read_text(encoding="utf-8")
    names: dict[str, object] = {}

    def replace(block: re.Match[str]) -> str:
        if block["skip"]:
            return block[0]
        printed = run_block(page, text, block, names)
        return f"```python\n{block['code']}```\n" + (
            f"\n```text\n{printed}```\n" if printed else ""
        )

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        new = BLOCK.sub(replace, text)
    path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    for page in PAGES:
        rewrite(page)
