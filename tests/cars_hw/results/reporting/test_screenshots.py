"""The pictures of the documents: made of runs, of the sizes of windows, and small."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from cars_hw.runs import Run
from scripts.screenshots import IMAGES, PICTURES, pictures
from tests.fakes.environments import demand

_GOLDEN = Path(__file__).parents[3] / "golden" / "before-the-moves"
_MOST_BYTES = 120_000


def test_every_picture_of_the_documents_is_there_and_small() -> None:
    assert {path.stem for path in IMAGES.glob("*.png")} == {picture.name for picture in PICTURES}
    assert all(path.stat().st_size < _MOST_BYTES for path in IMAGES.iterdir())


@pytest.mark.slow
def test_pictures_of_one_run_are_those_of_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demand("chromium", is_there=shutil.which("chromium") is not None, remedy="Debian package chromium")
    monkeypatch.chdir(tmp_path)
    shutil.copy(_GOLDEN / "table.jsonl", tmp_path)
    shutil.copytree(_GOLDEN / "cars", "run")
    made = pictures([Run.open("run")], tmp_path / "images")
    alone = [picture for picture in PICTURES if not picture.is_of_all]
    assert [path.stem for path in made] == [picture.name for picture in alone]
    for picture, path in zip(alone, made, strict=True):
        with Image.open(path) as image:
            assert image.size == (picture.width, picture.height)
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 8
