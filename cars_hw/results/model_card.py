"""Model cards: what an exported file is, in a JSON file beside it."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, JsonValue, ValidationError

from cars_hw.config import LatencySection
from cars_hw.ledger import Json
from devices.foundation import read_regular
from profilers import ExportError, formats

CARD_KIND = "cars_hw model card"
#: From 2 on, a card holds a hash of itself.
SCHEMA = 2

_OWN_HASH = "card_sha256"

#: The largest card, and the largest model, that are read; what a phone can hold is below that.
_MAX_CARD_BYTES = 1 << 20
_MAX_MODEL_BYTES = 1 << 31


class CardSpace(BaseModel):
    """The space of a model card's network."""

    name: str
    settings: dict[str, JsonValue]
    operation_kinds: tuple[str, ...] = ()


class CardLatency(BaseModel):
    """The latency table that a search used, its runtime, and the digest of the entries that it used."""

    table: str = ""
    runtime: str = ""
    sha256: str = ""
    device: str = ""
    threads: int = 1

    def is_of(self, target: LatencySection) -> bool:
        """Tell whether the table was measured by the runtime, threads and kind of device of ``target``."""
        kind, wanted = (name.partition(":")[0] for name in (self.device or target.device, target.device))
        return (self.runtime, self.threads, kind) == (target.runtime, target.threads, wanted)


class CardInput(BaseModel):
    """What the file of a model card takes: images at once, and their type; cards had neither at first."""

    batch: int | Literal["dynamic"] = 1
    dtype: str = "float32"


class CardOutput(BaseModel):
    """What it gives for each class."""

    are: Literal["logits", "probabilities"] = "logits"


class ModelCard(BaseModel):
    """The part of a model card that is read back.

    Attributes:
        sha256: Digest of the file that the card is about.
        scale: Which of the space's two graphs the file is.
        space: The space of its architecture.
        architecture: The architecture in its text form.
        latency: The table of the search, or that of its first target.
        targets: The tables of all targets by the names of their objectives, where there are several.
        input: What the file takes.
        output: What it gives.
        quantisation: How a file of half precision or of 8-bit integers was made; ``None`` for any other.
    """

    sha256: str
    scale: Literal["search", "deploy"]
    space: CardSpace
    architecture: str
    latency: CardLatency = CardLatency()
    targets: dict[str, CardLatency] = {}
    input: CardInput = CardInput()
    output: CardOutput = CardOutput()
    quantisation: dict[str, JsonValue] | None = None

    @property
    def is_predictable(self) -> bool:
        """Whether a table, which is of single images in float32, may predict the file.

        One that takes any number of images is measured with one.
        """
        return self.quantisation is None and self.input.batch in (1, "dynamic")

    @property
    def beside_the_network(self) -> str:
        """What else the file computes, which a prediction leaves out; empty where that is nothing."""
        found = ["preprocessing"] if self.input.dtype == "uint8" else []
        return " and ".join([*found, *(["softmax"] if self.output.are == "probabilities" else [])])

    def all_latencies(self) -> tuple[CardLatency, ...]:
        """Return the tables of all targets."""
        return tuple(self.targets.values()) or (self.latency,)


def card_path(model: Path) -> Path:
    """Return where the card of ``model`` lies: knee.json of knee.onnx, knee.tflite.json of knee.tflite.

    A network that is exported to several formats has a card for each file; that of the default format goes
    without the suffix, as all cards did when there was no other.
    """
    is_default = model.suffix == formats.load(formats.DEFAULT).suffix
    return model.with_suffix(".json") if is_default else model.with_name(f"{model.name}.json")


def card_content(facts: Mapping[str, Json]) -> bytes:
    """Return a card of ``facts``, with its kind, its schema, and the SHA-256 of its own text.

    The hash is that of the text in which the hash is empty; what ``facts`` have by these names is replaced.
    """
    empty: dict[str, Json] = {"kind": CARD_KIND, "schema": SCHEMA, **facts}
    empty |= {"kind": CARD_KIND, "schema": SCHEMA, _OWN_HASH: ""}
    sha256 = hashlib.sha256(_text(empty)).hexdigest()
    return _text({**empty, _OWN_HASH: sha256})


def read_card(model: Path) -> ModelCard | None:
    """Return the card beside ``model``; ``None`` where there is none of ours.

    Raises:
        ExportError: It is damaged, was changed, or belongs to another file.
    """
    path = card_path(model)
    if not os.path.lexists(path):
        return None
    try:
        text = read_regular(path, _MAX_CARD_BYTES)
        content = json.loads(text)
        if not isinstance(content, dict) or (content.get("kind") != CARD_KIND and _OWN_HASH not in content):
            return None
        if not _is_intact(text, content):
            raise ExportError(f"model card {path} was changed after it was written; export again")
        card = ModelCard.model_validate(content)
        sha256 = hashlib.sha256(read_regular(model, _MAX_MODEL_BYTES)).hexdigest()
    except OSError as error:
        raise ExportError(f"{error.filename} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ExportError(f"model card {path}: {where}: {first['msg']}; export again") from error
    except (ValueError, RecursionError) as error:
        raise ExportError(f"model card {path} is no JSON: {str(error)[:80]}; export again") from error
    if card.sha256 != sha256:
        raise ExportError(f"model card {path} does not belong to {model}; export again")
    return card


def _text(card: Mapping[str, Json]) -> bytes:
    return json.dumps(card, indent=2, allow_nan=False).encode()


def _is_intact(text: bytes, content: Mapping[str, JsonValue]) -> bool:
    """Tell whether a card's hash holds; cards of schema 1 have none."""
    sha256 = content.get(_OWN_HASH)
    if not isinstance(sha256, str):
        return content.get("schema", 1) == 1 and _OWN_HASH not in content
    empty = text.replace(f'"{_OWN_HASH}": "{sha256}"'.encode(), f'"{_OWN_HASH}": ""'.encode())
    return hashlib.sha256(empty).hexdigest() == sha256
