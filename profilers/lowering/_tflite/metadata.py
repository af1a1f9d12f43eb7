"""What a TFLite file tells of its network: by the public schema of metadata, and all of it as JSON.

The schema is that of TensorFlow Lite Support, ``metadata_schema.fbs``, version 1.0. Its tables are written
field by field: the packages with code that is generated from it are given up (tflite-support) or bring far
more than that (mediapipe).
"""

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from pydantic import JsonValue

from devices.foundation import one_line
from profilers._layout import IMAGE_RANK
from profilers.errors import ProfilingError
from profilers.lowering._tflite.flatbuffer import FILE_IDENTIFIER, add_values, packed, unpacked
from profilers.lowering._tflite.reading import stored
from profilers.lowering.description import KEY, Description, facts_from_json

_ENTRY, _IDENTIFIER, _OLDEST_PARSER = "TFLITE_METADATA", b"M001", "1.0.0"

_LABELS = "labels.txt"

#: Zip files have a date; one that is always the same keeps equal files equal.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)

#: The largest class name that is kept in full among the labels.
_LONGEST_LABEL = 1000

_WHITE = 255.0


@dataclass(frozen=True)
class _Number:
    """An unsigned integer of ``size`` bytes."""

    value: int
    size: int


@dataclass(frozen=True)
class _Table:
    """A table of a flatbuffer: its fields by their place in the schema, where a union takes two places."""

    fields: Mapping[int, "_Field"]


_Field = str | _Number | tuple[float, ...] | list[_Table] | _Table


def embed(content: bytes, description: Description) -> bytes:
    """Return a TFLite file, trusted, with ``description`` inside, in the place of one that was there."""
    model = unpacked(content)
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, _model_metadata(model, description)), file_identifier=_IDENTIFIER)
    _set_entry(model, _ENTRY, bytes(builder.Output()))
    _set_entry(model, KEY, description.facts_as_json().encode())
    described = packed(model)
    return described + _labels(len(described), description) if description.class_names else described


def embedded(content: bytes) -> dict[str, JsonValue] | None:
    """Return the facts that a TFLite file, not trusted, holds; ``None`` where it holds none.

    Nothing but Python reads the file, which checks each offset.

    Raises:
        ProfilingError: It is no TFLite file, or what stands in their place is not to be read.
    """
    try:
        found = _entry(content, KEY.encode())
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise ProfilingError("no TFLite model, or a damaged one; export it again") from error
    return None if found is None else facts_from_json(found)


def _entry(content: bytes, name: bytes) -> bytes | None:
    """Return what a file holds under ``name``; ``None`` where it has nothing of that name."""
    if content[4:8] != FILE_IDENTIFIER:
        raise ValueError("it does not begin as such a file")
    model = schema.Model.GetRootAs(content)
    for entry in map(model.Metadata, range(model.MetadataLength())):
        if entry.Name() == name:
            if entry.Buffer() >= model.BuffersLength():
                raise IndexError(entry.Buffer())
            return stored(content, model.Buffers(entry.Buffer()))
    return None


def _set_entry(model: Any, name: str, content: bytes) -> None:
    """Let ``content`` be what a model holds under ``name``."""
    values = np.frombuffer(content, dtype=np.uint8)
    model.metadata = model.metadata or []
    for entry in model.metadata:
        if entry.name == name.encode():
            model.buffers[entry.buffer].data = values
            return
    model.metadata.append(schema.MetadataT(name=name, buffer=add_values(model, values)))


def _labels(position: int, description: Description) -> bytes:
    """Return a zip file with the class names, one in a line, as it stands ``position`` bytes into a file."""
    lines = "".join(f"{one_line(name, _LONGEST_LABEL)}\n" for name in description.class_names)
    file = io.BytesIO()
    file.seek(position)
    with zipfile.ZipFile(file, "w") as archive:  # not compressed: readers map it
        archive.writestr(zipfile.ZipInfo(_LABELS, _LONG_AGO), lines.encode(errors="replace"))
    return file.getvalue()[position:]


def _model_metadata(model: Any, description: Description) -> _Table:
    [graph] = model.subgraphs
    shape = [int(n) for n in graph.tensors[graph.inputs[0]].shape]
    subgraph = _Table({2: [_input_metadata(shape, description)], 3: [_output_metadata(description)]})
    return _Table({0: description.name, 1: description.text, 3: [subgraph], 7: _OLDEST_PARSER})


def _input_metadata(shape: list[int], description: Description) -> _Table:
    is_normalised = any(description.mean) or any(std != 1 for std in description.std)
    text = "Pixels of 0..255, less the mean, over std, by channel." if is_normalised else "Pixels of 0..255."
    pairs = list(zip(description.mean, description.std, strict=True))
    extremes = (tuple((x - mean) / std for mean, std in pairs) for x in (_WHITE, 0.0))
    fields: dict[int, _Field] = {0: "image", 1: text, 5: _Table(dict(enumerate(extremes)))}
    if len(shape) == IMAGE_RANK:
        fields[3] = _image_content(shape)
    options = _Table({0: description.mean, 1: description.std})
    fields[4] = [_Table({0: _Number(1, 1), 1: options})]  # the first of its union: NormalizationOptions
    return _Table(fields)


def _image_content(shape: list[int]) -> _Table:
    """Return that a tensor (n, h, w, c) is an image, in RGB or grey."""
    _, height, width, channels = shape
    color = {3: 1, 1: 2}.get(channels, 0)  # RGB, GRAYSCALE, UNKNOWN
    size = _Table({0: _Number(width, 4), 1: _Number(height, 4)})
    properties = _Table({0: _Number(color, 1), 1: size})
    return _Table({0: _Number(2, 1), 1: properties})  # the second of its union: ImageProperties


def _output_metadata(description: Description) -> _Table:
    kind = description.outputs_are
    fields: dict[int, _Field] = {0: kind, 1: f"The {kind} of the classes."}
    if description.class_names:
        labels = _Table({0: _LABELS, 1: "The class of each output.", 2: _Number(2, 1)})  # TENSOR_AXIS_LABELS
        fields[6] = [labels]
    return _Table(fields)


def _write(builder: flatbuffers.Builder, table: _Table) -> int:
    """Write a table behind all that it refers to; return where it lies."""
    numbers = {place: field for place, field in table.fields.items() if isinstance(field, _Number)}
    offsets = {
        place: _write_apart(builder, field)
        for place, field in table.fields.items()
        if not isinstance(field, _Number)
    }
    builder.StartObject(max(table.fields) + 1)
    for place, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(place, offset, 0)
    for place, number in numbers.items():
        prepend = {1: builder.PrependUint8Slot, 4: builder.PrependUint32Slot}[number.size]
        prepend(place, number.value, 0)
    return int(builder.EndObject())


def _write_apart(builder: flatbuffers.Builder, field: str | tuple[float, ...] | list[_Table] | _Table) -> int:
    """Write what a field refers to; return where it lies."""
    match field:
        case str():
            return int(builder.CreateString(field, errors="replace"))
        case tuple():
            return int(builder.CreateNumpyVector(np.array(field, dtype=np.float32)))
        case list():
            offsets = [_write(builder, table) for table in field]
            builder.StartVector(4, len(offsets), 4)
            for offset in reversed(offsets):
                builder.PrependUOffsetTRelative(offset)
            return int(builder.EndVector())
        case _:
            return _write(builder, field)
