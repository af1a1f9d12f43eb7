"""The fake runtime, as a plug-in from outside that does not show what it executes."""

from profilers.runtimes.fake import FakeRuntime


class HiddenUnits(FakeRuntime):
    """Shows nothing."""

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads, shows_units=False)
