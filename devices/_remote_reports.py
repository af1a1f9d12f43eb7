"""What a device far away answers when it is asked for many reports at once, and whether it restarted."""

import re
from collections.abc import Iterable

#: Longest report that is read; the longest one known, all properties of a phone, has some 60 000 characters.
_LONGEST = 1 << 20

_BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def reports(answer: str, names: Iterable[str], mark: str) -> dict[str, str] | None:
    """Return what stands between the lines ``mark`` of an answer, by name; ``None`` where it is cut."""
    asked, sections = list(names), answer.split(f"\n{mark}\n")
    if len(sections) != len(asked) + 2:
        return None
    return dict(zip(asked, (section[:_LONGEST] for section in sections[1:]), strict=False))


class Boot:
    """The boot in which a device was first asked.

    Attributes:
        boot_id: Its random name; empty where the device does not report it, ``None`` before it was asked.
    """

    def __init__(self) -> None:
        self.boot_id: str | None = None

    def is_over(self, found: str) -> bool:
        """Tell whether the device restarted, by what it reports now as the name of its boot, not trusted."""
        name = found.strip()
        boot_id = name if _BOOT_ID.fullmatch(name) else ""
        if self.boot_id is None:
            self.boot_id = boot_id
        return boot_id != self.boot_id
