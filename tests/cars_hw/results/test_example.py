"""The example beside a file, on image files of every kind: it gives the classes that were verified."""

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cars_hw.data import ImageSet, ResizeRule, open_set
from cars_hw.results.exporting.example import example_path
from cars_hw.results.exporting.files import Export, Source, written
from cars_hw.results.exporting.images import PixelJudging
from cars_hw.results.exporting.options import FileOptions
from cars_hw.results.model_card import card_path
from profilers import formats
from tests.fakes.command_line import run
from tests.fakes.image_files import image_file, write_files

_CLASSES = ("a b", "caf\u00e9's", "\u732b")

_RULES = {
    "fit": ResizeRule(mode="fit", height=9, width=7, interpolation="bicubic"),
    "crop": ResizeRule(mode="crop", height=8, width=11),
    "stretch": ResizeRule(mode="stretch", height=7, width=9, interpolation="lanczos"),
    "pad": ResizeRule(mode="pad", height=24, width=25),
}

_MEAN, _STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]

Example = Callable[[Path, list[Path]], list[str]]

pytestmark = pytest.mark.filterwarnings("ignore:Palette images with Transparency")


def _files(prefix: str = "") -> dict[str, bytes]:
    """Return images: grey, CMYK, with a palette, held sideways, of several sizes and formats."""
    kinds: list[tuple[str, str, str, int | None]] = [
        ("1.png", "PNG", "L", None),
        ("2.jpg", "JPEG", "CMYK", None),
        ("3.png", "PNG", "P", None),
        ("4.JPG", "JPEG", "RGB", 6),
        ("5.jpeg", "JPEG", "L", 3),
        ("6.bmp", "BMP", "RGB", None),
        ("7.webp", "WEBP", "RGB", None),
        ("8.png", "PNG", "RGBA", None),
        ("9.png", "PNG", "1", None),
    ]
    return {
        f"{prefix}{label}/{name}": image_file(
            100 * k + i, kind=kind, mode=mode, size=(10 + 3 * (i % 4), 22 - 4 * (i % 3)), orientation=held
        )
        for k, label in enumerate(_CLASSES)
        for i, (name, kind, mode, held) in enumerate(kinds)
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of such images."""
    return write_files(tmp_path_factory.mktemp("messy"), _files())


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Example:
    """Run an example here, and return what it says of each file."""

    def ran(example: Path, files: list[Path]) -> list[str]:
        monkeypatch.setattr(sys, "argv", [str(example), *map(str, files)])
        capsys.readouterr()
        runpy.run_path(str(example), run_name="__main__")
        lines = capsys.readouterr().out.splitlines()
        assert [line.rpartition(": ")[0] for line in lines] == list(map(str, files))
        return [line.rpartition(": ")[2] for line in lines]

    return ran


def _network(images: ImageSet) -> nn.Module:
    """Return a network to which every place in an image matters, and that gives each class to some."""
    torch.manual_seed(2)
    channels, height, width = images.image_shape
    last = nn.Linear(16, images.classes)
    network = nn.Sequential(
        nn.Conv2d(channels, 16, (height, width)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last
    )
    mean, std = (torch.tensor(one[:channels]).reshape(-1, 1, 1) for one in (_MEAN, _STD))
    with torch.inference_mode():
        logits = network((torch.from_numpy(images.images) / 255 - mean) / std)
        last.bias.sub_(logits.mean(0))
    return network.eval()


def _exported(
    images: ImageSet, to: Path, options: FileOptions, network: nn.Module | None = None
) -> dict[str, Export]:
    channels = images.image_shape[0]
    judging = PixelJudging(images, _MEAN[:channels], _STD[:channels])
    source = Source(network or _network(images), judging, judging.like(images), {})
    made_by = options.loaded_format()
    return written(source, to / f"knee{made_by.suffix}", made_by, options)


def _expected(
    files: list[Path], rule: ResizeRule, network: nn.Module, class_names: tuple[str, ...]
) -> list[str]:
    """Return the classes of files by their raw bytes, through our rule and torch alone."""
    mean, std = (torch.tensor(one).reshape(3, 1, 1) for one in (_MEAN, _STD))
    pixels = torch.from_numpy(np.stack([rule.pixels(file.read_bytes()) for file in files]))
    with torch.inference_mode():
        chosen = network((pixels / 255 - mean) / std).argmax(1)
    return [class_names[int(i)] for i in chosen]


@pytest.mark.parametrize("rule", list(_RULES))
@pytest.mark.parametrize(
    "options",
    [
        FileOptions("onnx"),
        FileOptions("onnx", with_preprocessing=True, with_softmax=True),
        FileOptions("tflite"),
        FileOptions("tflite", with_preprocessing=True, batch=3),
    ],
    ids=["onnx", "onnx_on_pixels", "tflite", "tflite_on_pixels"],
)
def test_the_example_gives_the_classes_that_were_verified_and_the_accuracy_of_the_card(
    rule: str, options: FileOptions, folder: Path, classes: Example, tmp_path: Path
) -> None:
    images = open_set("folder", folder).read_by(_RULES[rule])
    assert images.class_names == _CLASSES
    files = sorted(folder.glob("*/*"))
    export = _exported(images, tmp_path, options)[""]
    assert export.example == example_path(export.path)
    found = classes(export.example, files)
    assert found == _expected(files, _RULES[rule], _network(images), _CLASSES)
    assert set(found) == set(_CLASSES)  # else every network would do
    card = json.loads(card_path(export.path).read_bytes())
    wrong = [name != file.parent.name for name, file in zip(found, files, strict=True)]
    assert card["verified"]["error"] == export.error == pytest.approx(sum(wrong) / len(files))
    assert card["input"]["resize"] == _RULES[rule].values()


def test_the_example_stands_alone_and_is_named_after_its_file(folder: Path, tmp_path: Path) -> None:
    images = open_set("folder", folder).read_by(_RULES["crop"])
    files = sorted(folder.glob("*/*"))
    _exported(images, tmp_path, FileOptions("onnx"))
    program = tmp_path / "knee.example.py"
    text = program.read_bytes()
    assert b"cars_hw" not in text
    assert text.isascii()
    assert len([line for line in text.splitlines() if line]) <= 20
    words = [sys.executable, "-I", "-X", "utf8", str(program), *map(str, files)]
    done = subprocess.run(words, capture_output=True, check=True, encoding="utf-8", cwd="/")
    found = [line.rpartition(": ")[2] for line in done.stdout.splitlines()]
    assert found == _expected(files, _RULES["crop"], _network(images), _CLASSES)


@pytest.mark.parametrize("file_format", formats.names())
def test_grey_images_and_every_further_file_have_an_example(
    file_format: str, folder: Path, classes: Example, tmp_path: Path
) -> None:
    rule = _RULES["stretch"]
    images = open_set("folder", folder, channels=1).read_by(rule)
    made_by = formats.load(file_format)
    growth_share = 1.0 if made_by.has_int8 else None
    options = FileOptions(file_format, with_fp16=made_by.has_fp16, max_error_growth_share=growth_share)
    files = sorted(folder.glob("*/*"))
    for export in _exported(images, tmp_path, options).values():
        assert export.example is not None
        found = classes(export.example, files)
        wrong = [name != file.parent.name for name, file in zip(found, files, strict=True)]
        assert export.error == pytest.approx(sum(wrong) / len(files))


def test_class_names_are_data_in_the_example_and_no_code(
    folder: Path, classes: Example, tmp_path: Path
) -> None:
    names = ("'];raise SystemExit;['", '"""', "a\\")
    images = open_set("folder", folder).read_by(_RULES["crop"])
    hostile = ImageSet("folder", images.images, images.labels, flips=False, source="", class_names=names)
    export = _exported(hostile, tmp_path, FileOptions("onnx"))[""]
    assert export.example is not None
    assert set(classes(export.example, sorted(folder.glob("*/*")))) <= set(names)


_SEARCH = """
[space]
name = "nasbench201"
deploy = "search"
channels = 2
cells = 1
image_size = 8
image_width = 12
classes = 3
[data]
name = "folder"
path = "photos"
fitness_images = 6
image_size = 8
image_width = 12
resize = "crop"
[training]
batch_size = 8
crop_padding = 1
recalibration_images = 8
[search]
objectives = ["error", "parameters"]
warm_up_epochs = 1
epochs_per_generation = 0
generations = 0
[strategy]
name = "random_search"
population_size = 2
[retraining]
preset = "small"
epochs = 2
batch_size = 8
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--format=onnx",), ("--format=tflite", "--with-preprocessing")])
def test_from_a_folder_to_a_file_the_example_has_the_accuracy_of_the_retraining(
    words: tuple[str, ...], classes: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    more = {
        f"train/{label}/{i}.png": image_file(9 * i + k) for k, label in enumerate(_CLASSES) for i in range(9)
    }
    write_files(Path("photos"), {**more, **_files("test/")})
    Path("search.toml").write_text(_SEARCH)
    for command in (
        ("search", "--config=search.toml", "--run=run", "-q"),
        ("retrain", "run", "--pick=0", "-q"),
        ("export", "run", "--pick=0", "--allow-infeasible", "-q", *words),
    ):
        done = run(*command)
        assert done.status in (0, 3), done.err
    [example] = Path("run/export").glob("*.example.py")
    files = sorted(Path("photos/test").glob("*/*"))
    found = classes(example, files)
    wrong = [name != file.parent.name for name, file in zip(found, files, strict=True)]
    [card] = (json.loads(path.read_bytes()) for path in Path("run/export").glob("*.json"))
    assert card["weights_are"] == "retrained"
    assert card["verified"]["judged_on"] == "test images"
    assert card["verified"]["error"] == pytest.approx(sum(wrong) / len(files))
    assert card["retrained"]["error"] == pytest.approx(card["verified"]["error"])
    assert card["output"]["classes"] == list(_CLASSES)
