"""``cars-hw data check``, and what ``init`` makes of a folder of images."""

import json
import tomllib
from pathlib import Path

import pytest

from cars_hw import data
from cars_hw.config import SearchConfig
from tests.fakes.command_line import run
from tests.fakes.image_files import image_file, two_classes, write_files

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_folder_that_can_be_used_is_counted_and_the_status_is_0(tmp_path: Path) -> None:
    path = write_files(two_classes(tmp_path), {"cat/Thumbs.db": b""})
    done = run("data", "check", "--data", "folder", "--data-path", str(path))
    assert done.status == 0
    for text in ("folder: 12 images", "cat", "6", "sizes: 3, 8 to 10 high, 10 to 10 wide", "12 RGB"):
        assert text in done.out
    assert "skipped: cat/Thumbs.db: has a name that programs leave behind" in done.out
    assert "every image can be used" in done.out


def test_an_image_that_would_be_lost_is_named_and_the_status_is_1(tmp_path: Path) -> None:
    path = write_files(two_classes(tmp_path), {"cat/x.jpg": b"torn"})
    done = run("data", "check", "--data", "folder", "--data-path", str(path))
    assert done.status == 1
    assert "problem: cat/x.jpg: it is no image in the form of JPEG, PNG, WebP or BMP" in done.out


def test_json_says_what_python_says(tmp_path: Path) -> None:
    path = write_files(two_classes(tmp_path), {"cat/x.jpg": b"torn"})
    done = run("data", "check", "--data", "folder", "--data-path", str(path), "--json")
    assert done.status == 1
    assert json.loads(done.out) == data.check("folder", str(path)).to_json()


def test_a_configuration_says_by_which_rule_images_are_to_be_resized(tmp_path: Path) -> None:
    path = two_classes(tmp_path / "images")
    (tmp_path / "a.toml").write_text(
        f'data = {{ name = "folder", path = "{path}", image_size = 9, image_width = 12, resize = "pad" }}'
    )
    done = run("data", "check", "--config", str(tmp_path / "a.toml"))
    assert done.status == 1
    assert "it has 10x10 pixels, and pad to 9x12 leaves nothing out; take fit, crop or stretch" in done.out
    assert run("data", "check", "--config", str(tmp_path / "a.toml"), "--set", "data.resize=fit").status == 0


def test_without_a_data_set_nothing_is_looked_at() -> None:
    done = run("data", "check")
    assert done.status == 1
    assert "data check needs --config FILE" in done.err


def test_init_makes_a_configuration_for_a_folder_of_any_sizes(tmp_path: Path) -> None:
    path = two_classes(tmp_path / "images", n=12)
    write_files(path, {f"bird/{i}.jpg": image_file(i, size=(100, 90)) for i in range(12)})
    file = tmp_path / "a.toml"
    done = run("init", str(file), "--data", "folder", "--data-path", str(path), "--space", "nasbench201")
    assert done.status == 0, done.err
    config = SearchConfig.load(file)
    rule = config.data.rule()
    assert rule is not None
    assert (rule.mode, rule.height) == ("crop", config.space.settings["image_size"])
    assert config.space.settings["classes"] == 3
    assert [words[:2] for words in done.commands] == [
        ("data", "check"),
        ("profile", f"--config={file}"),
        ("table", "validate"),
        ("search", f"--config={file}"),
    ]
    assert run(*done.commands[0]).status == 0
    section = tomllib.loads(file.read_text())["retraining"]
    assert section == {"preset": "small", "batch_size": 6}
    assert len(data.load_split("folder", config.data.split, path=str(path), rule=rule).training.labels) == 27


@pytest.mark.parametrize("space", ["darts", "mobilenet", "nse"])
@pytest.mark.parametrize(("side", "stride"), [(48, 1), (64, 2), (300, 2)])
def test_init_searches_on_large_images_at_half_of_their_size(
    tmp_path: Path, space: str, side: int, stride: int
) -> None:
    files = {f"{label}/{i}.png": image_file(i, size=(side, side)) for label in "ab" for i in range(4)}
    path = write_files(tmp_path / "images", files)
    file = tmp_path / "a.toml"
    done = run("init", str(file), "--data", "folder", "--data-path", str(path), "--space", space)
    assert done.status == 0, done.err
    settings = SearchConfig.load(file).space.settings
    assert (settings["image_size"], settings["stem_stride"]) == (min(side, 64), stride)
