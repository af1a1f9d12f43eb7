"""The page of a run: complete, static, and safe to open."""

import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cars_hw.candidate import Candidate, Front
from cars_hw.config import SearchConfig
from cars_hw.networks.architecture import to_text
from cars_hw.results.report import write_report
from cars_hw.saving.record import Generation
from profilers.errors import ExportError

_OBJECTIVES = ("error", "parameters", "latency_ms")
_LEDGER = {"steps": 10, "training_s": 1.5}


def _generation(index: int) -> Generation:
    population = tuple(Candidate((i, 2, 3), (0.5 / (i + 1 + index), 1000.0 + i, 0.4 + i)) for i in range(5))
    return Generation(index, population, Front(population[:3]), _OBJECTIVES, _LEDGER, 2.0)


def _page(tmp_path: Path, config: SearchConfig | None = None) -> str:
    history = [_generation(0), _generation(1)]
    path = tmp_path / "report.html"
    return write_report(config or SearchConfig(), history, path, trust="validated on <20>").read_text()


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_shows_every_member_of_the_front_and_three_plots(tmp_path: Path) -> None:
    page = _page(tmp_path)
    for member in _generation(1).front:
        assert to_text(member.architecture) in page
    parser = _Parser()
    parser.feed(page)
    assert parser.tags.count("svg") == 3
    assert "Retrained" not in page


def test_the_page_states_both_counts_of_what_was_spent(tmp_path: Path) -> None:
    page = _page(tmp_path)
    assert "evaluations, every one" in page
    assert "evaluations, one a generation" in page


def test_the_page_is_static_and_loads_nothing(tmp_path: Path) -> None:
    parser = _Parser()
    parser.feed(_page(tmp_path))
    assert "script" not in parser.tags
    assert all(link.startswith("#") for link in parser.links)


def test_names_from_outside_are_text_and_never_markup(tmp_path: Path) -> None:
    config = SearchConfig.load(None, {"space.name": "<script>alert(1)</script>"})
    assert "<script>" not in _page(tmp_path, config)


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="choose another place"):
        write_report(SearchConfig(), [_generation(0)], tmp_path / "file" / "report.html", trust="")


def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        required = "chromium" in os.environ.get("CARS_HW_REQUIRE", "").split(",")
        assert not required, "CARS_HW_REQUIRE names chromium, which is not installed"
        pytest.skip("chromium is not installed (Debian package chromium)")
    _page(tmp_path)
    picture = tmp_path / "page.png"
    arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ]
    folder = f"--user-data-dir={tmp_path / 'profile'}"
    page = (tmp_path / "report.html").as_uri()
    command = [chromium, *arguments, folder, "--window-size=1200,1600", f"--screenshot={picture}", page]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    from matplotlib.image import imread

    pixels = imread(picture)[..., :3]
    assert pixels.shape[:2] == (1600, 1200)
    is_front_blue = (abs(pixels - (0x0B / 255, 0x6B / 255, 0xCB / 255)) < 0.05).all(axis=2)
    assert is_front_blue.sum() > 100
