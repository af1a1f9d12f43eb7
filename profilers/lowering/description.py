"""What a file tells of the network in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue


@dataclass(frozen=True)
class Description:
    """What an app has to know of a file, and what people want to.

    Attributes:
        name: Of the network, in a few words.
        text: About it, in a few sentences.
        facts: Kept whole, as JSON, under the key ``cars_hw``.
        mean: By channel, in the unit of pixels of 0..255: an app gives the file ``(pixel - mean) / std``;
            zeros where the file does that itself.
        std: Likewise; ones where the file does that itself.
        class_names: In the order of the outputs.
        outputs_are: What the file gives for each class.
    """

    name: str
    text: str
    facts: Mapping[str, JsonValue]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    outputs_are: Literal["logits", "probabilities"] = "logits"
