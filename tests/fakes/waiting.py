"""Waiting for what another process or thread does, never for longer than a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def wait_for(happened: Callable[[], _T], otherwise: Callable[[], str], *, within_s: float = 30.0) -> _T:
    """Return what ``happened`` gives once that is true.

    Args:
        happened: Asked again and again.
        otherwise: What ends the test where it did not come to that.
        within_s: Seconds, far more than it takes on a busy machine.
    """
    end_s = time.monotonic() + within_s
    while not (found := happened()):
        assert time.monotonic() < end_s, f"after {within_s:g} s: {otherwise()}"
        time.sleep(0.01)
    return found
