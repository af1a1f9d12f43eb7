"""The environment of a program on a remote device, as words before its own."""

import re
from collections.abc import Mapping

from devices._errors import DeviceError

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def with_environment(environment: Mapping[str, str] | None) -> list[str]:
    """Return the words that give the program which follows its environment.

    Raises:
        DeviceError: There can be no variable of such a name.
    """
    for name in environment or {}:
        if not _VARIABLE.fullmatch(name):
            raise DeviceError(
                f"{name[:64]!r} is no name of an environment variable; use letters, digits and _"
            )
    return ["env", *(f"{name}={value}" for name, value in environment.items())] if environment else []
