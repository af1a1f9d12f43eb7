"""What is found out about images before a search: how many, how large, and what is not used, and why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cars_hw.errors import DataError


@dataclass(frozen=True)
class Finding:
    """A file or folder, and why its images are not used.

    Attributes:
        name: Its path below that of the data set, or a row of a file.
        reason: Why.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason


@dataclass(frozen=True)
class Check:
    """What a data set holds.

    Attributes:
        name: The data set's name.
        channels: Of the arrays that the images become; 0 where there are none.
        parts: By part, ``training`` and perhaps ``test``, how many images each class has, by its name.
        sizes: How many images have which height and width, upright.
        kinds: How many have which kind of pixels, as Pillow names it; where files are decoded.
        skipped: What is passed over, as everybody would: what is no image, or litter.
        problems: What stands in the way of a search: images that would be lost.
    """

    name: str
    channels: int
    parts: Mapping[str, Mapping[str, int]]
    sizes: Mapping[tuple[int, int], int]
    kinds: Mapping[str, int] | None = None
    skipped: tuple[Finding, ...] = ()
    problems: tuple[Finding, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.problems

    @property
    def images(self) -> int:
        """Number of images in all parts."""
        return sum(sum(counts.values()) for counts in self.parts.values())

    def side(self, most: int) -> int:
        """Return a height and width, of at most ``most``, for images of which most are about as large."""
        sides = sorted((min(size), n) for size, n in self.sizes.items())
        half = sum(n for _, n in sides) / 2
        passed = 0
        for side, n in sides:
            passed += n
            if passed >= half:
                return min(side, most)
        return most

    def to_json(self) -> dict[str, Any]:
        """Return everything by name, sizes as ``[height, width, images]``."""
        return {
            "name": self.name,
            "channels": self.channels,
            "is_usable": self.is_usable,
            "images": self.images,
            "parts": {part: dict(counts) for part, counts in self.parts.items()},
            "sizes": [[*size, n] for size, n in sorted(self.sizes.items())],
            "kinds": dict(self.kinds or {}),
            "skipped": [vars(finding) for finding in self.skipped],
            "problems": [vars(finding) for finding in self.problems],
        }


def judged(name: str, looked: Callable[[], Check]) -> Check:
    """Return what ``looked`` finds, with what is wrong with the whole of it among its problems.

    Args:
        name: The data set's name.
        looked: Looks at the images; an error of it is a problem.
    """
    try:
        found = looked()
    except DataError as error:
        return Check(name, 0, {}, {}, problems=(Finding("", str(error)),))
    used = [label for label, n in found.parts.get("training", {}).items() if n]
    if found.problems or len(used) > 1:
        return found
    reason = f"there is one class alone, {used[0]}" if used else "there are no images to train on"
    return replace(found, problems=(Finding("", reason),))
