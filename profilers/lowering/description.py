"""What a file tells of the network in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from profilers.errors import ProfilingError

#: Where a file keeps all the facts.
KEY = "cars_hw"


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

    def facts_as_json(self) -> str:
        """Return the facts in one line of ASCII; equal facts give equal text."""
        return json.dumps(self.facts, allow_nan=False, separators=(",", ":"))


def facts_from_json(text: bytes | str) -> dict[str, JsonValue]:
    """Return facts that a file holds, which is not trusted.

    Raises:
        ProfilingError: They are no object of JSON.
    """
    try:
        facts = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProfilingError(f"the entry {KEY!r} of the file is no JSON; export it again") from error
    if not isinstance(facts, dict):
        raise ProfilingError(f"the entry {KEY!r} of the file is no object of JSON; export it again")
    return facts


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
