"""A runtime on the fake device that warns whoever reads its latencies."""

from profilers.runtimes.fake import FakeRuntime


class CautiousRuntime(FakeRuntime):
    """The fake runtime, with a caution on one kind of device."""

    def caution(self, kind: str) -> str:
        return "it only plays" if kind == "fake" else ""
