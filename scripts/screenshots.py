"""Make the pictures of docs/images: pages of runs that are given, as a Chromium of this machine draws them.

    python scripts/screenshots.py RUN [RUN ...]

The first run's page is drawn as wide as a laptop and as a phone; the page of all, where there are several,
once. Pictures have a palette of 256 colours: they are small, and the same pages make the same bytes.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cars_hw.results.report import report
from cars_hw.runs import Run
from devices.foundation import CarsHwError
from scripts.browser import Browser, BrowserError

IMAGES = Path(__file__).parents[1] / "docs" / "images"
_COLOURS = 256


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        name: Of its file, without the suffix.
        width: Of the window, CSS pixels.
        height: The same.
        scheme: ``"light"`` or ``"dark"``.
        section: What is scrolled to; the top if empty.
        is_of_all: Whether it is of all runs together.
        script: What is done on the page first.
    """

    name: str
    width: int
    height: int
    scheme: str
    section: str = ""
    is_of_all: bool = False
    script: str = ""


#: A member of the front is pointed at.
_POINTED = """
const host = document.querySelector("[data-chart=front]");
const key = name => host.dispatchEvent(new KeyboardEvent("keydown", {key: name}));
for (let i = 0; i < host.points.length - 3; i++) key("ArrowRight");
"""

PICTURES = (
    Picture("report", 1280, 900, "light"),
    Picture("report-dark", 1280, 900, "dark", script=_POINTED),
    Picture("report-network", 1280, 900, "light", section="graph"),
    Picture("report-phone", 390, 844, "dark", section="front"),
    Picture("comparison", 1280, 1000, "light", section="front", is_of_all=True),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pictures, and return the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--to", type=Path, default=IMAGES, help="folder of the pictures")
    asked = parser.parse_args(arguments)
    try:
        for path in pictures([Run.open(run) for run in asked.runs], asked.to):
            sys.stdout.write(f"{path} {path.stat().st_size} bytes\n")
    except (CarsHwError, BrowserError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def pictures(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write the pictures of ``runs`` into ``folder``, and return their paths.

    Raises:
        CarsHwError: A run cannot be read, or they do not compare.
        BrowserError: There is no browser, or it does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Browser() as browser:
        one = report(runs[0], Path(name) / "report.html")
        several = report(runs, Path(name) / "comparison.html") if len(runs) > 1 else None
        made = []
        for picture in PICTURES:
            page = several if picture.is_of_all else one
            if page is not None:
                made.append(_drawn(browser, picture, page, folder))
        return made


def _drawn(browser: Browser, picture: Picture, page: Path, folder: Path) -> Path:
    with browser.tab(picture.width, picture.height, scheme=picture.scheme) as tab:
        tab.open(page)
        if picture.section:
            tab.evaluate(f"document.getElementById({picture.section!r}).scrollIntoView()")
        if picture.script:
            tab.evaluate(f"{{{picture.script}}}")
        tab.settle()
        path = folder / f"{picture.name}.png"
        tab.picture(path)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


if __name__ == "__main__":
    sys.exit(main())
