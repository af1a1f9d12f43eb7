"""Images in class folders: whatever lies in there is read, or named."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from cars_hw import data
from cars_hw.data import ImageSet, ResizeRule, Split
from cars_hw.errors import DataError
from devices.foundation import ConfigError
from tests.fakes.image_files import image_file, pixels, two_classes, write_files

pytestmark = pytest.mark.usefixtures("own_cache")

RULE = ResizeRule(mode="crop", height=8, width=6)


def read(path: Path, **settings: object) -> ImageSet:
    return data.open_set("folder", path, **settings).read_by(RULE)


def part_for_tests(path: Path, split: Split) -> ImageSet:
    found = data.load_test("folder", split, path=str(path), rule=RULE)
    assert found is not None
    return found


def test_endings_of_any_case_and_kind_are_read(tmp_path: Path) -> None:
    kinds = {
        "jpg": "JPEG",
        "JPG": "JPEG",
        "Jpeg": "JPEG",
        "png": "PNG",
        "WebP": "WEBP",
        "bmp": "BMP",
        "BMP": "BMP",
    }
    files = {
        f"{label}/{end}.{end}": image_file(1, kind=kind) for end, kind in kinds.items() for label in "ab"
    }
    found = read(write_files(tmp_path, files))
    assert np.bincount(found.labels).tolist() == [7, 7]
    assert found.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "LA"), ("PNG", "1")]
)
def test_pixels_of_every_kind_become_colours_or_grey(tmp_path: Path, kind: str, mode: str) -> None:
    content = image_file(5, kind=kind, mode=mode)
    write_files(tmp_path, {"a/x.jpg": content, "b/x.jpg": image_file(6)})
    with Image.open(tmp_path / "a/x.jpg") as image:
        expected = RULE(image.convert("RGB")), RULE(image.convert("L"))
    assert np.array_equal(read(tmp_path).images[0], np.asarray(expected[0]).transpose(2, 0, 1))
    assert np.array_equal(read(tmp_path, channels=1).images[0, 0], np.asarray(expected[1]))


def test_an_image_is_turned_as_the_camera_was_held(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/x.png": image_file(5, orientation=6), "b/x.png": image_file(6)})
    upright = np.rot90(pixels(5), k=-1)
    assert np.array_equal(
        read(tmp_path).images[0], np.asarray(RULE(Image.fromarray(upright))).transpose(2, 0, 1)
    )
    assert data.check("folder", str(tmp_path)).sizes == {(12, 10): 1, (10, 12): 1}


def test_a_transparent_palette_is_read_without_a_word(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(5)).convert("P")
    (tmp_path / "a").mkdir()
    image.save(tmp_path / "a" / "x.png", transparency=bytes(range(256)))
    write_files(tmp_path, {"b/x.png": image_file(6)})
    expected = RULE(image.convert("RGB"))
    assert np.array_equal(read(tmp_path).images[0], np.asarray(expected).transpose(2, 0, 1))


def test_images_of_several_sizes_need_a_rule_and_of_one_size_none(tmp_path: Path) -> None:
    path = two_classes(tmp_path / "several")
    with pytest.raises(
        DataError, match=r"cat/1\.png: it has 9x10 pixels, the first image 8x10; set data\.image_size"
    ):
        data.read("folder", path)
    with pytest.raises(ConfigError, match=r"set data\.resize to fit, crop, stretch or pad"):
        data.resize_rule("folder", None, (8, 8))
    one = write_files(tmp_path / "one", {f"{label}/x.png": image_file(i) for i, label in enumerate("ab")})
    found = data.read("folder", one)
    assert np.array_equal(found.images[1], pixels(1).transpose(2, 0, 1))
    assert found.rule == ResizeRule(mode="pad", height=10, width=12)


def test_what_programs_leave_behind_is_skipped_by_name(tmp_path: Path) -> None:
    litter = [
        *("cat/._0.png", "cat/Thumbs.db", "cat/.DS_Store", "dog/desktop.ini", "dog/1.png~", "dog/2.jpg.part"),
        *(".ipynb_checkpoints/0.png", "__MACOSX/cat/0.png", "cat/@eaDir/0.png"),
    ]
    path = write_files(two_classes(tmp_path), dict.fromkeys(litter, b"no image"))
    found = data.check("folder", str(path))
    assert found.is_usable
    assert found.parts == {"training": {"cat": 6, "dog": 6}}
    named = {finding.name for finding in found.skipped}
    assert named == {*litter[:6], ".ipynb_checkpoints", "__MACOSX", "cat/@eaDir"}
    assert len(read(path).labels) == 12


def test_what_is_no_image_is_skipped_and_named(tmp_path: Path) -> None:
    path = write_files(
        two_classes(tmp_path), {"readme.txt": b"", "cat/labels.csv": b"", "empty/notes.md": b""}
    )
    skipped = {str(finding) for finding in data.check("folder", str(path)).skipped}
    assert skipped == {
        "readme.txt: is no image, by its ending",
        "cat/labels.csv: is no image, by its ending",
        "empty/notes.md: is no image, by its ending",
        "empty: holds no image, and is no class",
    }
    assert read(path).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cat/x.png", image_file(0)[:60], "cat/x.png: "),
        ("cat/x.JPG", b"", "cat/x.JPG: it is no image in the form"),
        ("cat/x.webp", b"RIFF....WEBP", "cat/x.webp: "),
        ("cat/x.gif", b"GIF89a", "cat/x.gif: is of a format that is not read; convert it"),
        ("cat/x.jpg", image_file(0, kind="GIF"), "cat/x.jpg: it is no image in the form"),
        ("x.jpg", image_file(0), "x.jpg: is an image in no class's folder"),
        ("a\nb/x.jpg", image_file(0), r"a\?b: its name cannot be printed; rename it"),
    ],
)
def test_an_image_that_would_be_lost_is_named_in_one_line(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = write_files(two_classes(tmp_path), {name: content})
    found = data.check("folder", str(path))
    assert not found.is_usable
    assert len(found.problems) == 1
    with pytest.raises(DataError, match=reason) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(found.problems[0]) in str(caught.value)


def test_pixels_of_more_than_8_bits_are_named(tmp_path: Path) -> None:
    path = two_classes(tmp_path)
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(path / "cat" / "deep.png")
    with pytest.raises(DataError, match=r"cat/deep\.png: its pixels are of the kind I;16, not of 8 bits"):
        read(path)


def test_an_image_of_too_many_pixels_is_named_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    path = write_files(two_classes(tmp_path), {"cat/large.png": image_file(0, size=(30, 30))})
    with pytest.raises(DataError, match=r"cat/large\.png: Image size \(900 pixels\) exceeds limit"):
        read(path)


def test_images_that_do_not_decode_are_left_out_on_demand_and_counted(tmp_path: Path) -> None:
    path = write_files(two_classes(tmp_path), {"cat/a.png": b"", "dog/zz.png": b"torn"})
    with pytest.raises(DataError, match=r"cat/a\.png: .*; so are 1 more: data\.check lists all"):
        read(path)
    found = read(path, skip_unreadable=True)
    assert np.bincount(found.labels).tolist() == [6, 6]
    assert found.source.endswith("; 2 unreadable images left out")


def test_a_folder_of_images_to_validate_on_is_kept_for_the_end(tmp_path: Path) -> None:
    two_classes(tmp_path, prefix="Train/")
    two_classes(tmp_path, n=3, prefix="val/")
    found = data.check("folder", str(tmp_path))
    assert found.parts == {"training": {"cat": 6, "dog": 6}, "test": {"cat": 3, "dog": 3}}
    assert len(read(tmp_path).labels) == 12
    assert len(part_for_tests(tmp_path, Split(4)).labels) == 6
    assert len(part_for_tests(tmp_path, Split(4, 2)).labels) == 2


def test_with_a_part_for_tests_images_to_validate_on_are_searched_on(tmp_path: Path) -> None:
    for part, n in (("train", 6), ("valid", 2), ("test", 3)):
        two_classes(tmp_path, n=n, prefix=f"{part}/")
    found = data.check("folder", str(tmp_path))
    assert found.parts == {"training": {"cat": 8, "dog": 8}, "test": {"cat": 3, "dog": 3}}


def test_imagenet_as_it_is_handed_out_is_trained_on_and_its_flat_part_named(tmp_path: Path) -> None:
    files = {f"train/n0{k}/n0{k}_{i}.JPEG": image_file(i, kind="JPEG") for k in (1, 2) for i in range(4)}
    flat = {f"val/ILSVRC2012_val_0000000{i}.JPEG": image_file(i, kind="JPEG") for i in range(3)}
    path = write_files(tmp_path, {**files, **flat})
    found = data.check("folder", str(path))
    assert found.is_usable
    assert found.parts == {"training": {"n01": 4, "n02": 4}}
    assert str(found.skipped[0]) == "val: holds 3 files in no class's folder, which have no labels"
    assert data.load_test("folder", Split(2), path=str(path), rule=RULE) is None


def test_a_class_of_trains_is_a_class(tmp_path: Path) -> None:
    files = {f"{label}/{i}.png": image_file(i) for label in ("train", "bus") for i in range(2)}
    assert read(write_files(tmp_path, files)).class_names == ("bus", "train")


def test_a_class_of_the_test_images_that_is_not_trained_on_is_a_problem(tmp_path: Path) -> None:
    two_classes(tmp_path, prefix="train/")
    write_files(tmp_path, {"test/zebra/1.png": image_file(1), "test/cat/1.png": image_file(2)})
    with pytest.raises(DataError, match="zebra: is a class of the test images, and none to train on"):
        read(tmp_path)


def test_a_folder_one_level_too_high_is_found_out(tmp_path: Path) -> None:
    two_classes(tmp_path / "photos")
    with pytest.raises(
        DataError, match=r"photos: is the only class, and has folders in it; is data\.path photos in it"
    ):
        read(tmp_path)


def test_links_are_followed_once(tmp_path: Path) -> None:
    path = two_classes(tmp_path)
    os.symlink(path / "cat", path / "cat" / "again")
    os.symlink(path / "dog" / "0.png", path / "cat" / "linked.png")
    found = data.check("folder", str(path))
    assert found.parts["training"] == {"cat": 7, "dog": 6}
    assert [str(finding) for finding in found.skipped] == ["cat/again: is a folder that was read already"]
    os.symlink(path / "nowhere", path / "cat" / "9.png")
    assert "cat/9.png: is no file" in str(data.check("folder", str(path)).problems[0])


def test_a_single_class_and_an_empty_folder_are_one_line_each(tmp_path: Path) -> None:
    one = write_files(tmp_path / "one", {f"cat/{i}.png": image_file(i) for i in range(4)})
    with pytest.raises(DataError, match="folder has one class, cat; there is nothing to tell apart"):
        data.load_split("folder", Split(1), path=str(one), rule=RULE)
    assert str(data.check("folder", str(one)).problems[0]) == "there is one class alone, cat"
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no images in class folders"):
        read(tmp_path / "none")
    assert not data.check("folder", str(tmp_path / "none")).is_usable
    with pytest.raises(DataError, match=r"No such file or directory; set data\.path"):
        read(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"folder is read from files of your own; set data\.path"):
        data.read("folder")


def test_a_survey_says_what_a_check_says_of_images_that_decode(tmp_path: Path) -> None:
    path = two_classes(tmp_path)
    assert data.survey("folder", path) == data.check("folder", str(path))
    write_files(path, {"cat/torn.jpg": image_file(0, kind="JPEG", size=(40, 40))[:-200]})
    assert data.survey("folder", path).is_usable
    assert not data.check("folder", str(path)).is_usable


def test_unequal_classes_keep_images_to_train_on(tmp_path: Path) -> None:
    counts = {"a": 30, "b": 3, "c": 1}
    files = {f"{label}/{i}.png": image_file(i) for label, n in counts.items() for i in range(n)}
    path = write_files(tmp_path, files)
    split = data.load_split("folder", Split(12, 6), path=str(path), rule=RULE)
    test = part_for_tests(path, Split(12, 6))
    parts = (split.training, split.fitness, test)
    assert [part.class_names for part in parts] == [("a", "b", "c")] * 3
    total = sum((Counter(part.labels.tolist()) for part in parts), Counter())
    assert total == {0: 30, 1: 3, 2: 1}
    assert set(split.training.labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("name", ["folder", "digits"])
def test_what_was_split_is_joined_again(tmp_path: Path, name: str) -> None:
    path, rule = (str(two_classes(tmp_path)), RULE) if name == "folder" else (None, None)
    split = data.load_split(name, Split(10 if path is None else 4), path=path, rule=rule)
    whole = split.training.joined(split.fitness)
    assert whole.is_mapped == (name == "folder")
    assert np.array_equal(whole.images, np.concatenate([split.training.images, split.fitness.images]))
    assert whole.labels.tolist() == [*split.training.labels, *split.fitness.labels]
    assert (whole.class_names, whole.rule) == (split.training.class_names, split.training.rule)


def test_a_mapped_set_is_like_one_in_memory(tmp_path: Path) -> None:
    split = data.load_split("folder", Split(4), path=str(two_classes(tmp_path)), rule=RULE)
    training = split.training
    assert training.is_mapped
    assert np.array_equal(training.take(np.array([3, 0])), training.images[[3, 0]])
    assert np.concatenate(list(training.chunks())).tobytes() == training.images.tobytes()
    assert np.array_equal(training.subset(np.array([1, 2])).images, training.images[1:3])
    scaled = training.images / 255
    assert split.channel_mean == pytest.approx(scaled.mean(axis=(0, 2, 3)), rel=1e-5)
    assert split.channel_std == pytest.approx(scaled.std(axis=(0, 2, 3)), rel=1e-5)
    with Image.open(tmp_path / "cat" / "0.png") as image:
        first = np.asarray(ImageOps.fit(image.convert("RGB"), (6, 8), Image.Resampling.BILINEAR))
    assert any(
        np.array_equal(one, first.transpose(2, 0, 1))
        for part in (training, split.fitness)
        for one in part.images
    )
