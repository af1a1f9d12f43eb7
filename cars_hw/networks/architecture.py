"""Architecture: a tuple of ints, one option per decision of a space; the only representation."""

from collections.abc import Sequence

from cars_hw.errors import ArchitectureError

Architecture = tuple[int, ...]

_MAX_DECISIONS = 4096


def to_text(architecture: Architecture) -> str:
    """Write an architecture as its options joined by dots, ``"0.3.6"``."""
    return ".".join(map(str, architecture))


def from_text(text: str, choices: Sequence[int]) -> Architecture:
    """Read what ``to_text`` wrote, for a space with ``choices`` options per decision.

    Raises:
        ArchitectureError: The text is no member of that space.
    """
    parts = text.split(".", _MAX_DECISIONS)
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise ArchitectureError(f"{text[:80]!r} is not an architecture; the form is 0.3.6")
    return checked(tuple(map(int, parts)), choices)


def checked(architecture: Architecture, choices: Sequence[int]) -> Architecture:
    """Return ``architecture`` if it has one option in range for each of ``choices``.

    Raises:
        ArchitectureError: It has not.
    """
    if len(architecture) != len(choices):
        raise ArchitectureError(f"{len(architecture)} options given; the space has {len(choices)} decisions")
    for decision, (option, n) in enumerate(zip(architecture, choices, strict=True)):
        if not 0 <= option < n:
            raise ArchitectureError(f"option {option} of decision {decision} is not in 0..{n - 1}")
    return architecture
