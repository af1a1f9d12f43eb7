"""A device that never answers, and ends for no interrupt where its address is ``stubborn``."""

import contextlib
import time
from typing import NoReturn, Self

from devices.fake import Fake


class Unreachable(Fake):
    """A device that is waited for, for ever."""

    @classmethod
    def connect(cls, address: str) -> Self:
        _wait(is_stubborn=address == "stubborn")


def _wait(*, is_stubborn: bool) -> NoReturn:
    while True:
        with contextlib.suppress(KeyboardInterrupt) if is_stubborn else contextlib.nullcontext():
            time.sleep(60)
