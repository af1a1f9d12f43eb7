"""Images in Parquet files: as bytes or as paths, with labels of any whole numbers, or names."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars_hw import data
from cars_hw.data import ImageSet, ResizeRule, Split
from cars_hw.errors import DataError
from tests.fakes.image_files import image_file, write_files

pytestmark = pytest.mark.usefixtures("own_cache")

RULE = ResizeRule(mode="crop", height=8, width=6)


def write(
    path: Path, images: list[Any], labels: Any, *, names: list[str] | None = None, **columns: str
) -> Path:
    """Write a Parquet file of two columns, ``image`` and ``label`` unless named; with names of labels."""
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed; the extra parquet brings it")
    from pyarrow import parquet

    image, label = columns.get("image", "image"), columns.get("label", "label")
    table = pyarrow.table({image: images, label: labels})
    if names is not None:
        features = {"info": {"features": {label: {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=4)
    return path


def images_of(n: int) -> list[bytes]:
    return [image_file(i, size=(8 + i % 3, 10)) for i in range(n)]


def structures(n: int) -> list[dict[str, object]]:
    return [{"bytes": content, "path": f"{i}.png"} for i, content in enumerate(images_of(n))]


def read(path: Path, **settings: object) -> ImageSet:
    return data.open_set("parquet", path, **settings).read_by(RULE)


def test_rows_are_read_as_bytes_and_as_structures_alike(tmp_path: Path) -> None:
    plain = read(write(tmp_path / "a.parquet", images_of(10), [i % 2 for i in range(10)]))
    nested = read(write(tmp_path / "b.parquet", structures(10), [i % 2 for i in range(10)]))
    assert np.array_equal(plain.images, nested.images)
    for i, content in enumerate(images_of(10)):
        assert np.array_equal(plain.images[i], RULE.pixels(content))
    assert plain.labels.tolist() == [0, 1] * 5
    assert plain.class_names == ("0", "1")


@pytest.mark.parametrize("in_structure", [False, True])
def test_paths_are_read_below_the_file_and_a_change_is_noticed(tmp_path: Path, in_structure: bool) -> None:
    write_files(tmp_path, {f"images/{i}.png": content for i, content in enumerate(images_of(6))})
    names: list[Any] = [f"images/{i}.png" for i in range(6)]
    images = [{"bytes": None, "path": name} for name in names] if in_structure else names
    path = write(tmp_path / "a.parquet", images, [i % 2 for i in range(6)])
    first = read(path)
    assert np.array_equal(first.images[5], RULE.pixels(images_of(6)[5]))
    write_files(tmp_path, {"images/5.png": image_file(99)})
    assert np.array_equal(read(path).images[5], RULE.pixels(image_file(99)))


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "images/../../x.png"])
def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    write_files(tmp_path, {"x.png": image_file(0), "in/x.png": image_file(1)})
    path = write(tmp_path / "in/a.parquet", ["x.png", name], [0, 1])
    with pytest.raises(DataError, match=r"a\.parquet, row 1: its path .* leads out of the folder"):
        read(path)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint32", "int64", "uint64"])
def test_labels_of_every_integer_type_are_classes_in_their_order(tmp_path: Path, kind: str) -> None:
    found = read(write(tmp_path / "a.parquet", images_of(6), np.array([7, 10, 100, 7, 10, 100], kind)))
    assert found.class_names == ("7", "10", "100")
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_names_of_classes_are_those_of_the_rows_or_of_the_schema(tmp_path: Path) -> None:
    texts = read(write(tmp_path / "a.parquet", images_of(4), ["dog", "cat", "dog", "cat"]))
    assert texts.class_names == ("cat", "dog")
    assert texts.labels.tolist() == [1, 0, 1, 0]
    named = read(write(tmp_path / "b.parquet", images_of(4), [2, 0, 2, 0], names=["ape", "bee", "cow"]))
    assert named.class_names == ("ape", "bee", "cow")
    assert named.labels.tolist() == [2, 0, 2, 0]


@pytest.mark.parametrize(
    ("labels", "names", "text"),
    [
        ([0, -1], None, r"row 1 has the label -1, which mostly stands for none"),
        ([0, None], None, r"row 1 has no label"),
        ([0.0, 1.0], None, r"row 0 has the label 0\.0; give whole numbers from 0 on, or names"),
        (["a", "b\n"], None, r"row 1 has a label that cannot be printed"),
        ([0, 5], ["a", "b"], r"row 1: its label '5' is none of the classes"),
    ],
)
def test_labels_that_are_none_are_named_by_their_row(
    tmp_path: Path, labels: list[Any], names: list[str] | None, text: str
) -> None:
    path = write(tmp_path / "a.parquet", images_of(2), labels, names=names)
    with pytest.raises(DataError, match=rf"a\.parquet, {text}") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert not data.check("parquet", str(path)).is_usable


def test_files_are_told_apart_by_their_parts(tmp_path: Path) -> None:
    for part, n in (
        ("train-00000-of-00002", 6),
        ("train-00001-of-00002", 4),
        ("validation-0", 2),
        ("test-0", 4),
    ):
        write(tmp_path / "data" / f"{part}.parquet", structures(n), [i % 2 for i in range(n)])
    found = data.check("parquet", str(tmp_path))
    assert found.parts == {"training": {"0": 6, "1": 6}, "test": {"0": 2, "1": 2}}
    test = data.load_test("parquet", Split(2), path=str(tmp_path), rule=RULE)
    assert test is not None
    assert len(test.labels) == 4
    assert len(read(tmp_path).labels) == 12


def test_an_image_that_does_not_decode_is_named_by_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [*images_of(6), b"torn", None], [0, 1] * 4)
    with pytest.raises(
        DataError, match=r"a\.parquet, row 6: it is no image in the form of .*; so are 1 more"
    ):
        read(path)
    assert [str(problem) for problem in data.check("parquet", str(path)).problems][1] == (
        "a.parquet, row 7: its row holds no image"
    )
    assert read(path, skip_unreadable=True).labels.tolist() == [0, 1] * 3


def test_columns_have_any_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", images_of(4), [0, 1, 0, 1], image="img", label="fine")
    assert len(read(path, image_column="img", label_column="fine").labels) == 4
    with pytest.raises(DataError, match=r"has no column label; set data\.image_column .*: img, fine"):
        read(path)


def test_what_is_no_parquet_file_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; the extra parquet brings it")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    cases = {
        None: r"parquet is read from files of your own; set data\.path",
        tmp_path / "empty": r"holds no file \*\.parquet",
        tmp_path / "a.parquet": r"cannot read .*a\.parquet: ",
        tmp_path / "nothing": r"cannot read .*nothing: No such file or directory",
    }
    for path, text in cases.items():
        with pytest.raises(DataError, match=text) as caught:
            data.read("parquet", path)
        assert "\n" not in str(caught.value)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"install it: pip install 'cars-hw\[parquet\]'"):
        data.read("parquet", write_files(tmp_path, {"a.parquet": b""}) / "a.parquet")
