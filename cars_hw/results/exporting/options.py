"""FileOptions: what a file holds beside a network, and in which numbers."""

import math
from dataclasses import dataclass
from typing import Literal

from devices.foundation import ConfigError, plugin_name
from profilers import ExportError, FileFormat, formats

#: More images at once than these are a mistake; no runtime is faster by more.
_MOST_AT_ONCE = 4096


@dataclass(frozen=True)
class FileOptions:
    """What a file holds beside a network, and in which numbers.

    Attributes:
        file_format: ``"onnx"``, ``"tflite"``, or a module from outside, with a dot.
        with_preprocessing: Whether the file takes pixels of 0..255 and normalises them itself; else it takes
            normalised images.
        with_softmax: Whether it gives probabilities; else logits.
        batch: Images that it takes at once; ``"dynamic"``: any number.
        with_fp16: Whether a second file is written, with weights of half precision.
        max_error_growth_share: Write a further file with 8-bit integers, whose error may be larger by this
            share of the images, 0..1; ``None`` writes none.

    Raises:
        ConfigError: The batch is no number of images, or the share none of 0..1.
    """

    file_format: str = formats.DEFAULT
    with_preprocessing: bool = False
    with_softmax: bool = False
    batch: int | Literal["dynamic"] = 1
    with_fp16: bool = False
    max_error_growth_share: float | None = None

    def __post_init__(self) -> None:
        if self.batch != "dynamic" and not (isinstance(self.batch, int) and 1 <= self.batch <= _MOST_AT_ONCE):
            raise ConfigError(
                f"a batch of {self.batch!r:.32} images; give 1 to {_MOST_AT_ONCE}, or dynamic for any number"
            )
        share = self.max_error_growth_share
        if share is not None and not (math.isfinite(share) and 0 <= share <= 1):
            raise ConfigError(f"max_error_growth_share is {share}; give a share of the images, 0 to 1")

    @property
    def is_plain(self) -> bool:
        """Whether the file holds the network alone, for one normalised image at a time."""
        return not (self.with_preprocessing or self.with_softmax or self.batch != 1)

    @property
    def images_at_once(self) -> int:
        """For how many images the network is written; 1 where it takes any number."""
        return 1 if isinstance(self.batch, str) else self.batch

    @property
    def extras(self) -> tuple[str, ...]:
        """What stands in the names of the further files: ``"fp16"``, ``"int8"``."""
        has_int8 = self.max_error_growth_share is not None
        return (*(("fp16",) if self.with_fp16 else ()), *(("int8",) if has_int8 else ()))

    def loaded_format(self) -> FileFormat:
        """Return the format, which writes all that is wanted.

        Raises:
            UnknownNameError: There is no such format.
            ExportError: It has no such files, or what writes them is not installed.
        """
        made_by = formats.load(self.file_format)
        made_by.require_installed(with_int8=self.max_error_growth_share is not None)
        if self.with_fp16 and not made_by.has_fp16:
            raise ExportError(f"{plugin_name(type(made_by))} files are not written in half precision")
        return made_by
