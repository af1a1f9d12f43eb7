"""CIFAR-10 from files: small ones made here, hostile ones, and (slow) the real archive."""

import gzip
import io
import lzma
import os
import pickle
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cars_hw import data
from cars_hw.data import cifar10, cifar100
from cars_hw.data.cifar10 import CLASSES
from cars_hw.errors import DataError

ROOT = Path(__file__).parents[3]
ARCHIVE = Path(os.environ.get("CARS_HW_DATA", ROOT / "../shared/data")) / "cifar10-jpeg.tar.xz"
BATCHES = [f"data_batch_{i}.bin" for i in range(1, 6)]
PER_BATCH = 12


def records() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Labels 0, 1, ... in turn, each before the pixels of an image."""
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, size=(5 * PER_BATCH, 3073), dtype=np.uint8)
    table[:, 0] = np.arange(len(table)) % 10
    return table


def binary_files() -> dict[str, bytes]:
    parts = np.split(records(), 5)
    return {name: part.tobytes() for name, part in zip(BATCHES, parts, strict=True)}


def jpeg(value: int, *, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 255 - value, 7)).save(file, "JPEG", quality=95)
    return file.getvalue()


def jpeg_files() -> dict[str, bytes]:
    return {
        f"train/{name}/{i}.jpg": jpeg(20 * label + i) for label, name in enumerate(CLASSES) for i in range(3)
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_archive(path: Path, files: dict[str, bytes], mode: str) -> Path:
    with tarfile.open(path, f"w:{mode}") as archive:  # type: ignore[call-overload]  # the mode is a variable
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def in_folder(path: Path, files: dict[str, bytes]) -> Path:
    return write_folder(path / "images", files)


def in_gzip(path: Path, files: dict[str, bytes]) -> Path:
    return write_archive(path / "images.tar.gz", files, "gz")


def in_xz(path: Path, files: dict[str, bytes]) -> Path:
    return write_archive(path / "images.tar.xz", files, "xz")


def in_tar(path: Path, files: dict[str, bytes]) -> Path:
    return write_archive(path / "images.tar", files, "")


Writer = Callable[[Path, dict[str, bytes]], Path]
some_containers = pytest.mark.parametrize("write", [in_folder, in_gzip])
every_container = pytest.mark.parametrize("write", [in_folder, in_gzip, in_xz, in_tar])


@every_container
@pytest.mark.parametrize("folder", ["", "cifar-10-batches-bin/"])
def test_the_binary_version_is_read_record_by_record(tmp_path: Path, write: Writer, folder: str) -> None:
    files = {folder + name: content for name, content in reversed(binary_files().items())}
    found = cifar10.read(write(tmp_path, {**files, folder + "test_batch.bin": b"\0" * 3073}))
    assert found.labels.tolist() == records()[:, 0].tolist()
    assert np.array_equal(found.images, records()[:, 1:].reshape(-1, 3, 32, 32))
    assert found.form == "the official binary version"


@every_container
def test_jpeg_images_are_labelled_by_their_folders(tmp_path: Path, write: Writer) -> None:
    files = {**jpeg_files(), "test/cat/1.jpg": jpeg(0), "train/readme.txt": b"no image"}
    found = cifar10.read(write(tmp_path, files))
    assert found.labels.tolist() == [label for label in range(10) for _ in range(3)]
    assert found.images.shape == (30, 3, 32, 32)
    for image, label, i in zip(found.images, found.labels, 10 * [0, 1, 2], strict=True):
        value = 20 * label + i
        assert np.abs(image.mean(axis=(1, 2)) - [value, 255 - value, 7]).max() < 4
    assert found.form == "re-encoded as JPEG"


def test_folder_and_archive_give_the_same_order_whatever_theirs(tmp_path: Path) -> None:
    files = jpeg_files()
    backwards = dict(reversed(files.items()))
    first, second = cifar10.read(in_folder(tmp_path, files)), cifar10.read(in_xz(tmp_path, backwards))
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.labels, second.labels)


def test_a_grey_image_gets_three_channels(tmp_path: Path) -> None:
    files = {**jpeg_files(), "train/cat/0.jpg": jpeg(99, mode="L")}
    found = cifar10.read(in_folder(tmp_path, files))
    cat = found.images[found.labels == CLASSES.index("cat")][0]
    assert np.array_equal(cat[0], cat[1])


def test_it_is_a_data_set_that_is_split_in_halves(tmp_path: Path) -> None:
    path = in_gzip(tmp_path, binary_files())
    split = data.load("cifar10", path=str(path), fitness_images=30)
    assert [len(part.labels) for part in (split.training, split.fitness)] == [30, 30]
    assert np.bincount(split.fitness.labels).tolist() == [3] * 10
    assert split.training.flips
    assert split.training.classes == 10
    assert "CIFAR-10" in split.training.source
    assert str(tmp_path) not in split.training.source


def test_a_pickled_version_is_never_read(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "unpickled"),)

    content = pickle.dumps(Bomb())
    with pytest.raises(DataError, match="pickled version is never read"):
        cifar10.read(
            in_folder(tmp_path, {f"cifar-10-batches-py/data_batch_{i}": content for i in range(1, 6)})
        )
    with pytest.raises(DataError, match=r"no multiple of 3073"):
        cifar10.read(in_gzip(tmp_path, dict.fromkeys(BATCHES, content)))
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_batch_3.bin": None}, r"lacks data_batch_3\.bin; set data\.path"),
        ({"data_batch_2.bin": b""}, "data_batch_2.bin .* has 0 bytes"),
        ({"data_batch_2.bin": b"\1" * 3072}, "no multiple of 3073"),
        ({"data_batch_5.bin": b"\x0a" * 3073}, "label 10"),
        ({"data_batch_1.bin": b"\0" * (10_001 * 3073)}, "at most 30730000 bytes were expected"),
    ],
    ids=["missing", "empty", "short", "label", "large"],
)
@some_containers
def test_a_binary_file_that_is_not_what_it_says_is_refused(
    tmp_path: Path, write: Writer, changes: dict[str, bytes | None], message: str
) -> None:
    files = {name: changes.get(name, content) for name, content in binary_files().items()}
    with pytest.raises(DataError, match=message):
        cifar10.read(
            write(tmp_path, {name: content for name, content in files.items() if content is not None})
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train/cat/0.jpg": b"GIF89a"}, r"train/cat/0\.jpg is no JPEG image"),
        ({"train/cat/0.jpg": b""}, "is no JPEG image"),
        ({"train/cat/0.jpg": jpeg(1)[:300]}, "is no JPEG image"),
        ({"train/cat/0.jpg": jpeg(1, size=(33, 32))}, r"has \(33, 32\) pixels"),
        ({"train/cat/0.jpg": b"\0" * (1 << 17)}, "at most 65536 bytes were expected"),
        ({"train/zebra/0.jpg": jpeg(1)}, "has a class that CIFAR-10 has not, zebra"),
    ],
    ids=["gif", "empty", "torn", "size", "large", "class"],
)
@some_containers
def test_a_jpeg_file_that_is_not_what_it_says_is_refused(
    tmp_path: Path, write: Writer, changes: dict[str, bytes], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        cifar10.read(write(tmp_path, {**jpeg_files(), **changes}))


def test_letters_of_any_case_are_read_and_in_the_order_of_the_small_ones(tmp_path: Path) -> None:
    expected = cifar10.read(in_folder(tmp_path / "small", jpeg_files()))
    for change in (str.upper, str.title, lambda name: name.replace(".jpg", ".JPEG")):
        files = {"/".join(map(change, name.split("/"))): content for name, content in jpeg_files().items()}
        found = cifar10.read(in_folder(tmp_path / f"{len(os.listdir(tmp_path))}", files))
        assert np.array_equal(found.images, expected.images)
        assert np.array_equal(found.labels, expected.labels)


def test_folders_and_files_that_differ_in_case_alone_are_all_read(tmp_path: Path) -> None:
    more = {"train/Cat/0.jpg": jpeg(1), "train/cat/0.JPG": jpeg(2), "TRAIN/cat/9.jfif": jpeg(3)}
    found = cifar10.read(in_folder(tmp_path, {**jpeg_files(), **more}))
    assert len(found.labels) == 33
    assert np.bincount(found.labels)[CLASSES.index("cat")] == 6


@pytest.mark.parametrize(
    "name",
    ["train/cat/3.png", "train/cat/3.WebP", "train/cat/more/3.jpg", "train/3.JPG", "train/.more/cat/3.jpeg"],
)
@some_containers
def test_an_image_that_would_be_left_out_is_named(tmp_path: Path, write: Writer, name: str) -> None:
    with pytest.raises(
        DataError, match=f"{re.escape(name)} is no train/CLASS/NAME.jpg, and would be left out"
    ):
        cifar10.read(write(tmp_path, {**jpeg_files(), name: jpeg(1)}))


@pytest.mark.parametrize("folder", ["cat2", "cat_2", "a cat", "Cats"])
def test_a_folder_of_any_name_is_a_class(tmp_path: Path, folder: str) -> None:
    with pytest.raises(DataError, match=f"has a class that CIFAR-10 has not, {folder.lower()}"):
        cifar10.read(in_folder(tmp_path, {**jpeg_files(), f"train/{folder}/0.jpg": jpeg(1)}))


def test_batches_in_capitals_are_read(tmp_path: Path) -> None:
    files = {name.upper(): content for name, content in binary_files().items()}
    assert np.array_equal(
        cifar10.read(in_folder(tmp_path / "b", files)).labels,
        cifar10.read(in_folder(tmp_path / "a", binary_files())).labels,
    )


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    files = {name: content for name, content in jpeg_files().items() if "/truck/" not in name}
    with pytest.raises(DataError, match="lacks the class truck"):
        cifar10.read(in_folder(tmp_path, files))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        b"\x1f\x8b no gzip",
        b"\xfd7zXZ\x00 no xz",
        gzip.compress(b"no tar", mtime=0),
        lzma.compress(b"no tar"),
        gzip.compress(b"\0" * 10240, mtime=0)[:-9],
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_file_that_is_no_archive_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images\.tar\.gz") as caught:
        cifar10.read(path)
    assert "\n" not in str(caught.value)


def test_a_path_that_does_not_exist_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No such file.*set data\.path"):
        cifar10.read(tmp_path / "nothing")


def test_an_archive_that_unpacks_without_end_is_left_early(tmp_path: Path) -> None:
    """One kilobyte of compressed zeros after another, in a member that says it is as large as that."""
    member = tarfile.TarInfo("padding")
    member.size = 1 << 40
    path = tmp_path / "bomb.tar.gz"
    block = gzip.compress(b"\0" * (1 << 26))
    path.write_bytes(gzip.compress(member.tobuf()) + block * 16)
    with pytest.raises(DataError, match="unpacks to over 536870912 bytes"):
        cifar10.read(path)


def test_links_and_devices_in_an_archive_are_passed_over(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0" * 3073)
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo("data_batch_1.bin")
            member.type, member.linkname = kind, str(secret)
            archive.addfile(member)
    with pytest.raises(DataError, match="holds no images"):
        cifar10.read(path)


def part_for_tests(name: str, path: Path, split: data.Split) -> data.ImageSet:
    found = data.load_test(name, split, path=str(path))
    assert found is not None
    return found


def test_the_test_part_is_read_by_itself(tmp_path: Path) -> None:
    split = data.Split(10)
    binary = {**binary_files(), "test_batch.bin": records()[:20].tobytes()}
    test = part_for_tests("cifar10", in_gzip(tmp_path, binary), split)
    assert test.labels.tolist() == records()[:20, 0].tolist()
    assert test.class_names == CLASSES
    jpegs = {**jpeg_files(), "test/cat/1.jpg": jpeg(9), "test/truck/._1.jpg": b"litter"}
    assert part_for_tests("cifar10", in_folder(tmp_path, jpegs), split).labels.tolist() == [3]


def test_without_a_test_part_one_is_drawn_on_demand(tmp_path: Path) -> None:
    path = str(in_gzip(tmp_path, binary_files()))
    assert data.load_test("cifar10", data.Split(10), path=path) is None
    assert len(part_for_tests("cifar10", Path(path), data.Split(10, 20)).labels) == 20
    assert len(data.load_split("cifar10", data.Split(10, 20), path=path).training.labels) == 30


@pytest.mark.parametrize("prefix", ["", "cifar-100-binary/"])
def test_cifar100_is_read_by_its_fine_labels(tmp_path: Path, prefix: str) -> None:
    table = np.random.default_rng(0).integers(0, 256, size=(200, 3074), dtype=np.uint8)
    table[:, 0], table[:, 1] = 19, np.arange(200) % 100
    files = {
        "train.bin": table.tobytes(),
        "test.bin": table[:100].tobytes(),
        "fine_label_names.txt": b"apple",
    }
    path = in_gzip(tmp_path, {prefix + name: content for name, content in files.items()})
    whole = data.read("cifar100", path)
    assert whole.labels.tolist() == table[:, 1].tolist()
    assert np.array_equal(whole.images, table[:, 2:].reshape(-1, 3, 32, 32))
    assert (whole.class_names[0], whole.class_names[99], whole.classes) == ("apple", "worm", 100)
    assert len(part_for_tests("cifar100", path, data.Split(100)).labels) == 100


def test_cifar100_in_class_folders_has_a_class_of_trains(tmp_path: Path) -> None:
    files = {f"train/{name}/0.jpg": jpeg(i) for i, name in enumerate(cifar100.CLASSES)}
    files |= {"test/train/0.jpg": jpeg(3), "test/worm/0.jpg": jpeg(4)}
    path = in_xz(tmp_path, files)
    assert data.read("cifar100", path).labels.tolist() == list(range(100))
    test = part_for_tests("cifar100", path, data.Split(100))
    assert [test.class_names[label] for label in test.labels] == ["train", "worm"]
    with pytest.raises(DataError, match=r"CIFAR-100 .*; set data\.path to cifar-100-binary\.tar\.gz"):
        data.read("cifar100", in_folder(tmp_path / "other", {"a.txt": b""}))


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"{ARCHIVE} is absent; set CARS_HW_DATA to its folder")
def test_the_real_archive_splits_into_two_times_25_000_images() -> None:
    split = data.load("cifar10", path=str(ARCHIVE), fitness_images=25_000)
    for part in (split.training, split.fitness):
        assert part.images.shape == (25_000, 3, 32, 32)
        assert np.bincount(part.labels).tolist() == [2500] * 10
    # Published means and deviations of the 50 000 training images; this is half of them, re-encoded.
    np.testing.assert_allclose(split.channel_mean, [0.4914, 0.4822, 0.4465], atol=0.005)
    np.testing.assert_allclose(split.channel_std, [0.2470, 0.2435, 0.2616], atol=0.01)
