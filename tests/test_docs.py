"""The Python code in the documentation runs, and prints the text on the page.

``python -m tests.test_docs`` runs the pages and rewrites the printed text in them.
"""

import contextlib
import io
import re
import tempfile
from pathlib import Path

import pytest
from matplotlib import pyplot

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ["python.md"]
ROOT = DOCS.parent
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
FOLDERS = ("mixjobs", "docs", "tests", "validation", "benchmarks", "slurm")
# A block of code, and the block of printed text that may follow it.
BLOCK = re.compile(
    r"(?P<skip><!-- not run -->\n)?^```python\n(?P<code>.*?)^```\n"
    r"(?P<printed>\n```text\n(?P<text>.*?)^```\n)?",
    re.M | re.S,
)


def run_block(page: str, text: str, block: re.Match[str], names: dict[str, object]) -> str:
    """Run one block of a page, and return what it prints."""
    first_line = text.count("\n", 0, block.start("code"))
    source = "\n" * first_line + block["code"]  # so that line numbers in a traceback are right
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, DOCS / page, "exec"), names)
    return printed.getvalue()


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


def _exists(path: str, page: Path) -> bool:
    """Whether a path in a page exists, from the repository, the package or the page's folder."""
    return any((folder / path).exists() for folder in (ROOT, ROOT / "mixjobs", page.parent))


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8").partition("## Names that changed")[0]
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)", text)
    missing = [path for path in links if not (page.parent / path).exists()]
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", text)
    ours = [path for path in paths if path.endswith(".py") or path.split("/")[0] in FOLDERS]
    missing += [path for path in ours if not _exists(path, page)]
    assert not missing


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
