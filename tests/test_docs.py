"""The documents: what is generated is current, links lead somewhere, lines are short."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import api_reference, configuration_reference

_ROOT = Path(__file__).parents[1]
_PAGES = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").glob("*.md")])

#: Those that no benchmark and no release writes.
_WRITTEN = [
    page
    for page in _PAGES
    if page.name not in ("CHANGELOG.md", "figures.md", "search-quality.md", "accuracy.md", "performance.md")
]

_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def _anchors(page: Path) -> set[str]:
    """Return the anchors of the page's headings, as GitHub makes them."""
    headings = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text) for text in _HEADING.findall(_prose(page)))
    return {re.sub(r"[^\w -]", "", text).strip().replace(" ", "-").lower() for text in headings}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_link_between_the_documents_leads_to_a_file_and_to_a_heading(page: Path) -> None:
    for link in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", _WRITTEN, ids=lambda page: page.name)
def test_lines_are_of_up_to_120_characters(page: Path) -> None:
    long = [line for line in page.read_text().splitlines() if len(line) > 120 and not line.startswith("|")]
    assert long == []


def test_the_api_reference_is_current() -> None:
    command = [sys.executable, "scripts/api_reference.py", "--check"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_list_of_configuration_keys_is_current() -> None:
    assert (_ROOT / "docs" / "configuration.md").read_text() == configuration_reference.page()


def test_every_key_of_a_configuration_is_listed_with_its_meaning() -> None:
    rows = [
        line.split(" | ") for line in configuration_reference.page().splitlines() if line.startswith("| `")
    ]
    assert len(rows) > 60
    assert [row for row in rows if not row[3].removesuffix("|").strip()] == []


def _texts() -> list[str]:
    """Return every text in our sources, with ``...`` for what is filled in, and the scripts' lines."""
    found = (_ROOT / "scripts" / "_venv.sh").read_text().splitlines()
    for package in ("cars_hw", "profilers", "latency_tables", "devices"):
        for path in (_ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


def test_every_message_that_troubleshooting_explains_is_one_of_ours() -> None:
    texts = "\0".join(_texts())
    page = (_ROOT / "docs" / "troubleshooting.md").read_text()
    cells = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")]
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 70
    for message in messages:
        is_ours = re.search("[^\0]*".join(map(re.escape, message.strip(".").split("..."))), texts)
        assert is_ours or message.startswith("INFO: Created TensorFlow Lite"), message


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout of two facades that share a class."""
    (tmp_path / "devices").mkdir()
    (tmp_path / "latency_tables").mkdir()
    (tmp_path / "devices" / "__init__.py").write_text(
        '"""Hardware."""\n\nfrom devices._clock import LIMIT, Clock, read\n\n'
        '__all__ = ["LIMIT", "Clock", "read"]\n'
    )
    (tmp_path / "devices" / "_clock.py").write_text(
        '''
from dataclasses import dataclass

#: The most, in ``seconds``.
LIMIT = 3.0


@dataclass(frozen=True)
class Clock:
    """A clock.

    Attributes:
        start_s: When it
            began.
    """

    start_s: float = 0.0

    def late(self, than_s: float) -> bool:
        """Tell the time."""
        return self.start_s > than_s

    def _hidden(self) -> None:
        """Nobody reads this."""


def read(clock: Clock, /, *, unit: str = "s") -> float:
    """Read ``clock``.

    Args:
        clock: Which.
        unit: Of the result.

    Returns:
        The time.

    Raises:
        ValueError: No such unit.
    """
    return clock.start_s
'''
    )
    (tmp_path / "latency_tables" / "__init__.py").write_text(
        '"""Tables."""\n\nfrom devices import Clock\n\n__all__ = ["Clock"]\n'
    )
    return tmp_path


def test_the_reference_lists_signatures_and_the_sections_of_docstrings(checkout: Path) -> None:
    page = api_reference.page(checkout)
    assert '```python\nread(clock: Clock, /, *, unit: str = "s") -> float\n```' in page
    assert "Read `clock`." in page
    assert "*Args:*\n\n- `clock`: Which.\n- `unit`: Of the result.\n" in page
    assert "*Returns:* The time." in page
    assert "*Raises:*\n\n- `ValueError`: No such unit." in page
    assert "Clock(start_s: float = 0.0)" in page
    assert "- `start_s`: When it began." in page
    assert "- `late(than_s: float) -> bool`\n\n  Tell the time." in page
    assert "The most, in `seconds`." in page
    assert "_hidden" not in page


def test_the_reference_describes_an_object_once_where_it_belongs(checkout: Path) -> None:
    page = api_reference.page(checkout)
    assert page.count("### devices.Clock\n") == 1
    assert "### latency_tables.Clock" not in page
    assert "[`Clock`](#devicesclock)" in page


#: A folder or file of the checkout; ``NAME`` is the reader's.
_PATH = re.compile(
    r"`((?:cars_hw|profilers|latency_tables|devices|scripts|tests|benchmarks|examples)/[\w./-]*)`"
)


@pytest.mark.parametrize("page", _WRITTEN, ids=lambda page: page.name)
def test_every_path_that_the_documents_name_exists(page: Path) -> None:
    named = [path for path in _PATH.findall(page.read_text()) if "NAME" not in path]
    assert [path for path in named if not (_ROOT / path).exists()] == []


def test_the_page_of_speed_is_what_its_script_writes_of_the_rows_that_are_kept() -> None:
    script = _ROOT / "scripts" / "performance.py"
    written = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    assert (_ROOT / "docs" / "performance.md").read_text() == written
