"""A file format whose writer is not installed."""

from profilers.formats.onnx import Onnx


class UninstalledFormat(Onnx):
    """ONNX by a distribution that does not exist."""

    packages = ("no-such-distribution", "onnx")
    has_int8 = True
