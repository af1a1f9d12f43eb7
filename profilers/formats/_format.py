"""The contract of a kind of file that holds a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import JsonValue

from devices.foundation import plugin_name
from profilers.errors import ExportError
from profilers.formats._batches import Array, Images
from profilers.lowering.description import Description
from profilers.runtimes._runtime import Workload

if TYPE_CHECKING:
    from torch import nn

InputDtype = Literal["float32", "uint8"]


class FileFormat(ABC):
    """A kind of file that holds a network. Knowing it loads no framework; writing or running a file does.

    Attributes:
        suffix: The suffix of its files: ``".onnx"``.
        layout: The order of the images that a file's network takes.
        runtime: Name of the runtime that runs such files, where the user names none.
        packages: Distributions that write and run it; a model card has their versions.
        has_fp16: Whether ``halve`` writes files with half-precision weights.
        has_int8: Whether ``quantize`` writes files with 8-bit integers inside.
        int8_packages: Distributions of which it needs one beside ``packages``, the best first.
    """

    suffix: ClassVar[str]
    layout: ClassVar[Literal["NCHW", "NHWC"]]
    runtime: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    has_fp16: ClassVar[bool] = False
    has_int8: ClassVar[bool] = False
    int8_packages: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"<file format {plugin_name(type(self))}: {self.suffix}, {self.layout}, for {self.runtime}>"

    def require_installed(self, *, with_int8: bool = False) -> None:
        """Refuse to begin where what writes and runs such files is missing.

        Args:
            with_int8: Whether files with 8-bit integers are to be written too.

        Raises:
            ExportError: A distribution is not installed, or the format has no files with 8-bit integers.
        """
        name = plugin_name(type(self))
        if with_int8 and not self.has_int8:
            raise ExportError(f"{name} files are not written with 8-bit integers")
        for package in self.packages:
            if not _is_installed(package):
                raise ExportError(f"writing {name} files needs {package}; install it: pip install {package}")
        if with_int8 and self.int8_packages and not any(map(_is_installed, self.int8_packages)):
            best = self.int8_packages[0]
            raise ExportError(f"8-bit integers need {best}; install it: pip install {best}")

    @abstractmethod
    def lower(
        self,
        module: nn.Module,
        input_shapes: Sequence[tuple[int, ...]],
        *,
        input_dtype: InputDtype = "float32",
        is_batch_dynamic: bool = False,
    ) -> bytes:
        """Return ``module`` in evaluation mode as the content of a file; equal modules give equal bytes.

        Args:
            module: Takes tensors of ``input_shapes`` and returns one tensor.
            input_shapes: Shape of each input in torch's order, with the batch first.
            input_dtype: Of each input.
            is_batch_dynamic: Whether the file takes any number of images at once; else it takes that of
                ``input_shapes``.

        Raises:
            UnsupportedOperationError: An operation of the module has no form in this format.
        """

    @abstractmethod
    def run(self, content: bytes, images: Images, *, batch: int = 1) -> Array:
        """Return the outputs (n, classes) of a file's network for ``images`` (n, c, h, w).

        Args:
            content: A file of this format with one input, trusted. It is given as many images at once as it
                takes; the last ones are filled up.
            images: As the network takes them, in torch's order whatever the layout of the file.
            batch: Images at once, where the file takes any number.
        """

    def embed(self, content: bytes, description: Description) -> bytes:
        """Return a file's network with ``description`` inside the file, in the place of one that was there.

        Args:
            content: As ``lower``, ``quantize`` or ``halve`` writes it.
            description: What other tools read there too, as far as the format has a place for it.

        Raises:
            ExportError: The format has no place for it.
        """
        raise ExportError(f"{plugin_name(type(self))} files hold no description")

    def embedded(self, content: bytes) -> Mapping[str, JsonValue] | None:
        """Return the facts that ``embed`` wrote; ``None`` where there are none.

        Args:
            content: Of a file, not trusted.

        Raises:
            ProfilingError: What stands in their place is not to be read.
        """
        return None

    def halve(self, content: bytes) -> bytes:
        """Return a file's network with half-precision weights; its input and output stay as they are.

        Args:
            content: As ``lower`` writes it, in float.

        Raises:
            ExportError: The format has no such files.
            UnsupportedOperationError: The network has no such form.
        """
        raise ExportError(f"{plugin_name(type(self))} files are not written with half-precision weights")

    @abstractmethod
    def workload(self, path: Path) -> Workload:
        """Return the network in a file, not trusted, as a workload whose spec has the digest of the file.

        Raises:
            ProfilingError: The file is not to be read, or its inputs are not all of one shape and known size.
        """

    def quantize(self, content: bytes, range_images: Images) -> bytes:
        """Return a file's network with 8-bit weights and activations; its input and output stay as they are.

        Args:
            content: As ``lower`` writes it, with one input.
            range_images: Like those that the network will see, (n, c, h, w), of the type that it takes: they
                set the ranges of activations.

        Raises:
            ExportError: The format has no such files, or what writes them is not installed.
            UnsupportedOperationError: The network has no such form.
        """
        raise ExportError(f"{plugin_name(type(self))} files are not written with 8-bit integers")


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True
