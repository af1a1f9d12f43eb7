"""Two worker processes, for all tests here that need some: they take seconds to start."""

from collections.abc import Iterator

import pytest

from cars_hw.executors.processes import Processes


class _Kept(Processes):
    """Processes that stay when a search is done."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def workers() -> Iterator[Processes]:
    executor = _Kept(2)
    yield executor
    Processes.close(executor)
