"""What a file tells of its network: kept whole, found by other tools, and not trusted when it is read."""

import ast
import io
import json
import struct
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from profilers import Description, ProfilingError, formats
from profilers.formats import FileFormat
from tests.fakes import tflite_files
from tests.fakes.environments import environment

_SHAPE = (1, 3, 6, 5)
_IMAGES = np.random.default_rng(0).standard_normal((3, *_SHAPE[1:]), dtype=np.float32)
_DESCRIPTION = Description(
    name="knee",
    text="A network of the Übung.",
    facts={"weights": "retrained", "resize": {"size": [6, 5]}, "none": None, "error": 0.25},
    mean=(120.0, 118.5, 104.0),
    std=(60.0, 61.0, 62.0),
    class_names=("cat", "Hündin", "two\nlines"),
)


@pytest.fixture(params=["onnx", "tflite"])
def made_by(request: pytest.FixtureRequest) -> FileFormat:
    return formats.load(request.param)


def file_of(made_by: FileFormat, channels: int = 3) -> bytes:
    torch.manual_seed(0)
    parts = [nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    return made_by.lower(nn.Sequential(*parts).eval(), [(1, channels, *_SHAPE[2:])])


def tables(described: bytes) -> bytes:
    """Return the flatbuffer of the public schema that a TFLite file holds."""
    model = schema.ModelT.InitFromPackedBuf(described)
    [entry] = [each for each in model.metadata if each.name == b"TFLITE_METADATA"]
    return bytes(model.buffers[entry.buffer].data)


def properties(described: bytes) -> dict[str, str]:
    """Return what other tools read of an ONNX file."""
    return {entry.key: entry.value for entry in onnx.load_model_from_string(described).metadata_props}


def test_all_facts_come_back(made_by: FileFormat) -> None:
    described = made_by.embed(file_of(made_by), _DESCRIPTION)
    assert made_by.embedded(described) == _DESCRIPTION.facts


def test_a_file_without_a_description_has_no_facts(made_by: FileFormat) -> None:
    assert made_by.embedded(file_of(made_by)) is None


def test_a_described_file_computes_the_same(made_by: FileFormat) -> None:
    plain = file_of(made_by)
    described = made_by.embed(plain, _DESCRIPTION)
    np.testing.assert_array_equal(made_by.run(described, _IMAGES), made_by.run(plain, _IMAGES))


def test_a_second_description_takes_the_place_of_the_first(made_by: FileFormat) -> None:
    once = made_by.embed(file_of(made_by), _DESCRIPTION)
    other = replace(_DESCRIPTION, name="other", facts={"weights": "search"})
    twice = made_by.embed(once, other)
    assert made_by.embedded(twice) == {"weights": "search"}
    assert made_by.embed(twice, _DESCRIPTION) == once


def test_equal_files_and_descriptions_give_equal_bytes(made_by: FileFormat) -> None:
    assert made_by.embed(file_of(made_by), _DESCRIPTION) == made_by.embed(file_of(made_by), _DESCRIPTION)


def test_a_file_that_is_cut_off_is_refused_in_one_line(made_by: FileFormat) -> None:
    described = made_by.embed(file_of(made_by), _DESCRIPTION)
    with pytest.raises(ProfilingError, match=r"^no (TFLite|ONNX) model, or .*damaged.*; export it again$"):
        made_by.embedded(described[: len(described) // 8])


def test_no_damage_leads_to_another_error(made_by: FileFormat) -> None:
    rng = np.random.default_rng(0)
    described = made_by.embed(file_of(made_by), _DESCRIPTION)
    refused = 0
    for _ in range(200):
        damaged = bytearray(described)
        for place in rng.integers(0, len(damaged), 16):
            damaged[place] = rng.integers(0, 256)
        try:
            made_by.embedded(bytes(damaged))
        except ProfilingError:
            refused += 1
    assert refused > 0


_BAD_JSON = ["{", "[1]", '{"error": NaN}', '{"a":' * 100_000, "\x00"]


@pytest.mark.parametrize("text", _BAD_JSON, ids=range(len(_BAD_JSON)))
def test_facts_that_are_no_object_of_json_are_refused_in_one_line(made_by: FileFormat, text: str) -> None:
    described = made_by.embed(file_of(made_by), _DESCRIPTION)
    with pytest.raises(ProfilingError, match=r"'cars_hw' of the file is no .*JSON; export it again$"):
        made_by.embedded(_with_facts(described, text))


def _with_facts(described: bytes, text: str) -> bytes:
    """Return a described file with other text in the place of its facts."""
    if described[4:8] == b"TFL3":
        model = schema.ModelT.InitFromPackedBuf(described)
        [entry] = [each for each in model.metadata if each.name == b"cars_hw"]
        model.buffers[entry.buffer].data = np.frombuffer(text.encode(), dtype=np.uint8)
        return tflite_files.packed(model)
    model = onnx.load_model_from_string(described)
    onnx.helper.set_model_props(model, {"cars_hw": text})
    return bytes(model.SerializeToString())


def test_facts_of_a_tflite_file_that_lie_nowhere_are_refused() -> None:
    made_by = formats.load("tflite")
    model = schema.ModelT.InitFromPackedBuf(made_by.embed(file_of(made_by), _DESCRIPTION))
    for entry in model.metadata:
        entry.buffer = 1000
    with pytest.raises(ProfilingError, match="damaged"):
        made_by.embedded(tflite_files.packed(model))


def test_the_classes_of_an_onnx_file_are_found_by_tools_that_evaluate_them() -> None:
    made_by = formats.load("onnx")
    found = properties(made_by.embed(file_of(made_by), _DESCRIPTION))
    expected = {str(i): name for i, name in enumerate(_DESCRIPTION.class_names)}
    assert json.loads(found["names"]) == expected
    assert ast.literal_eval(found["names"]) == expected
    assert json.loads(found["mean"]) == [120.0, 118.5, 104.0]
    assert (found["name"], found["outputs"]) == ("knee", "logits")


@pytest.mark.parametrize(
    ("mean", "std", "known"),
    [
        (0.0, 1.0, {"Image.NominalPixelRange": "NominalRange_0_255"}),
        (0.0, 255.0, {"Image.NominalPixelRange": "Normalized_0_1"}),
        (127.5, 127.5, {"Image.NominalPixelRange": "Normalized_1_1"}),
        (100.0, 50.0, {}),
    ],
)
@pytest.mark.parametrize(("channels", "kind"), [(1, "Gray8"), (3, "Rgb8"), (4, None)])
def test_onnx_files_name_pixels_as_far_as_onnx_has_words_for_them(
    channels: int, kind: str | None, mean: float, std: float, known: dict[str, str]
) -> None:
    made_by = formats.load("onnx")
    description = replace(_DESCRIPTION, mean=(mean,) * channels, std=(std,) * channels)
    found = properties(made_by.embed(file_of(made_by, channels), description))
    expected = known | ({} if kind is None else {"Image.BitmapPixelFormat": kind})
    assert {key: value for key, value in found.items() if key.startswith("Image.")} == expected


def test_the_labels_of_a_tflite_file_are_a_zip_behind_it_one_in_a_line() -> None:
    made_by = formats.load("tflite")
    described = made_by.embed(file_of(made_by), _DESCRIPTION)
    with zipfile.ZipFile(io.BytesIO(described)) as archive:
        [label_file] = archive.infolist()
        assert (label_file.filename, label_file.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(label_file).decode().splitlines() == ["cat", "Hündin", "two?lines"]
    unlabelled = made_by.embed(file_of(made_by), replace(_DESCRIPTION, class_names=()))
    assert not zipfile.is_zipfile(io.BytesIO(unlabelled))


def test_the_values_of_a_described_tflite_file_are_aligned() -> None:
    made_by = formats.load("tflite")
    described = made_by.embed(file_of(made_by), _DESCRIPTION)
    offsets = tflite_files.weight_offsets(described)
    assert len(offsets) >= 6
    assert all(offset % 16 == 0 for offset in offsets)


def test_a_tflite_file_with_values_behind_its_tables_is_described_too() -> None:
    made_by = formats.load("tflite")
    plain = file_of(made_by)
    described = made_by.embed(tflite_files.with_values_behind_the_tables(plain), _DESCRIPTION)
    np.testing.assert_array_equal(made_by.run(described, _IMAGES), made_by.run(plain, _IMAGES))


class Reader:
    """Reads a table of a flatbuffer by the places that fields have in a schema, as its format says.

    A table starts with how far before it its list of offsets lies; that begins with its own size in bytes,
    and has the offset of each field, 0 for one that is left out, from its third number on.
    """

    def __init__(self, content: bytes, start: int) -> None:
        self._content, self._start = content, start
        (back,) = struct.unpack_from("<i", content, start)
        self._offsets = start - back

    def number(self, place: int, kind: str = "<B") -> int:
        (value,) = struct.unpack_from(kind, self._content, self._field(place))
        return int(value)

    def table(self, place: int) -> "Reader":
        return Reader(self._content, self._target(self._field(place)))

    def tables(self, place: int) -> list["Reader"]:
        start = self._target(self._field(place))
        (n,) = struct.unpack_from("<I", self._content, start)
        return [Reader(self._content, self._target(start + 4 + 4 * i)) for i in range(n)]

    def floats(self, place: int) -> tuple[float, ...]:
        start = self._target(self._field(place))
        (n,) = struct.unpack_from("<I", self._content, start)
        return struct.unpack_from(f"<{n}f", self._content, start + 4)

    def text(self, place: int) -> str:
        start = self._target(self._field(place))
        (n,) = struct.unpack_from("<I", self._content, start)
        return self._content[start + 4 : start + 4 + n].decode()

    def has(self, place: int) -> bool:
        (size,) = struct.unpack_from("<H", self._content, self._offsets)
        if 4 + 2 * place >= size:
            return False
        return bool(struct.unpack_from("<H", self._content, self._offsets + 4 + 2 * place)[0])

    def _field(self, place: int) -> int:
        assert self.has(place)
        return self._start + int(struct.unpack_from("<H", self._content, self._offsets + 4 + 2 * place)[0])

    def _target(self, position: int) -> int:
        return position + int(struct.unpack_from("<I", self._content, position)[0])


def metadata_of(described: bytes) -> Reader:
    """Return the table ``ModelMetadata``."""
    content = tables(described)
    assert content[4:8] == b"M001"
    return Reader(content, struct.unpack_from("<I", content)[0])


def test_a_tflite_file_describes_its_pixels_by_the_public_schema() -> None:
    made_by = formats.load("tflite")
    model = metadata_of(made_by.embed(file_of(made_by), _DESCRIPTION))
    assert (model.text(0), model.text(1)) == ("knee", "A network of the Übung.")
    [graph] = model.tables(3)
    [image] = graph.tables(2)
    content = image.table(3)
    assert content.number(0) == 2  # ImageProperties
    assert content.table(1).number(0) == 1  # RGB
    size = content.table(1).table(1)
    assert (size.number(0, "<I"), size.number(1, "<I")) == (5, 6)
    [unit] = image.tables(4)
    assert unit.number(0) == 1  # NormalizationOptions
    assert unit.table(1).floats(0) == (120.0, 118.5, 104.0)
    assert unit.table(1).floats(1) == (60.0, 61.0, 62.0)
    assert image.table(5).floats(0) == pytest.approx((135 / 60, 136.5 / 61, 151 / 62))
    assert image.table(5).floats(1) == pytest.approx((-120 / 60, -118.5 / 61, -104 / 62))


def test_a_tflite_file_names_its_labels_by_the_public_schema() -> None:
    made_by = formats.load("tflite")
    description = replace(_DESCRIPTION, outputs_are="probabilities")
    [graph] = metadata_of(made_by.embed(file_of(made_by), description)).tables(3)
    [output] = graph.tables(3)
    [labels] = output.tables(6)
    assert output.text(0) == "probabilities"
    assert (labels.text(0), labels.number(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


@pytest.mark.parametrize(("channels", "color"), [(1, 2), (2, None)])
def test_grey_images_are_told_from_those_of_no_known_colors(channels: int, color: int | None) -> None:
    made_by = formats.load("tflite")
    description = replace(_DESCRIPTION, mean=(0.0,) * channels, std=(1.0,) * channels)
    [graph] = metadata_of(made_by.embed(file_of(made_by, channels), description)).tables(3)
    properties = graph.tables(2)[0].table(3).table(1)
    assert (properties.number(0) if properties.has(0) else None) == color


#: Prints what the reader of the package that the schema comes from makes of a file.
_READ = """
import json, pathlib, sys
from tensorflow_lite_support.metadata.python.metadata import MetadataDisplayer
shown = MetadataDisplayer.with_model_buffer(pathlib.Path(sys.argv[1]).read_bytes())
print(json.dumps([json.loads(shown.get_metadata_json()), shown.get_packed_associated_file_list()]))
"""


@pytest.mark.slow
def test_the_reader_of_tflite_support_finds_all_of_it(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert request.config.cache is not None
    python = environment(request.config.cache, "tflite-support==0.4.4", "numpy<2", version="3.11")
    made_by = formats.load("tflite")
    path = tmp_path / "knee.tflite"
    path.write_bytes(made_by.embed(file_of(made_by), _DESCRIPTION))
    done = subprocess.run([str(python), "-c", _READ, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, packed = json.loads(done.stdout)
    assert packed == ["labels.txt"]
    assert found["name"] == "knee"
    assert found["min_parser_version"] == "1.0.0"
    [graph] = found["subgraph_metadata"]
    [image], [output] = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    assert image["content"]["content_properties_type"] == "ImageProperties"
    assert image["content"]["content_properties"]["color_space"] == "RGB"
    assert image["content"]["content_properties"]["default_size"] == {"width": 5, "height": 6}
    [unit] = image["process_units"]
    assert unit["options_type"] == "NormalizationOptions"
    assert unit["options"] == {"mean": [120.0, 118.5, 104.0], "std": [60.0, 61.0, 62.0]}
    [labels] = output["associated_files"]
    assert (labels["name"], labels["type"]) == ("labels.txt", "TENSOR_AXIS_LABELS")
