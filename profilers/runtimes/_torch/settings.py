"""The settings of torch."""

from typing import Literal

from pydantic import Field

from devices.foundation import Settings


class TorchSettings(Settings):
    """How torch executes modules; all of it is part of a table's header.

    Attributes:
        layout: Of images in memory: ``"channels_last"``, (n, h, w, c), or ``"contiguous"``, (n, c, h, w).
        dtype: The numbers that it computes with: ``"float32"``, ``"bfloat16"`` or ``"float16"``; on a card
            also ``"tf32"``, float32 whose factors are rounded to 10 bits.
        batch: Images of one call, whose latency is that of all of them.
        mode: ``"warm"``: calls follow one another. ``"cold"``, on a card: its caches are emptied before each.
        cudnn_benchmark: Whether cuDNN tries its algorithms before the first call: ``"on"`` or ``"off"``; a
            processor has none.
    """

    layout: Literal["channels_last", "contiguous"] = "channels_last"
    dtype: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    batch: int = Field(default=1, ge=1, le=4096)
    mode: Literal["warm", "cold"] = "warm"
    cudnn_benchmark: Literal["on", "off"] = "on"
