"""Text from a device, a program or a library, cut down to what a message of one line can hold."""

#: Longest text of a device that goes into a table.
_LONGEST = 120


def printable(text: str) -> str:
    """Return ``text`` without control characters, by which it could take over a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def one_line(text: bytes | str, limit: int = 120) -> str:
    """Return the beginning of ``text`` as one printable line of at most ``limit`` characters."""
    decoded = text[: 4 * limit].decode("utf-8", "replace") if isinstance(text, bytes) else text
    return printable(decoded.strip()[:limit])


def plain(text: str) -> str:
    """Return a device's text with single blanks, without control characters, at most 120 of it."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.split())[:_LONGEST].strip()


def first_line(error: Exception) -> str:
    """Return the first line of what a library complains of; the rest may be a trace."""
    return str(error).strip().partition("\n")[0]
