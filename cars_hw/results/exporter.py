"""Export: a network with its weights to a file, verified against torch, with a model card beside it."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from cars_hw.ledger import Json
from cars_hw.results.exporting.files import Export, Source, written
from cars_hw.results.exporting.folders import made_folder
from cars_hw.results.exporting.images import NormalisedJudging
from profilers import FileFormat, formats


def export_network(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    path: Path,
    *,
    card: Mapping[str, Json],
    made_by: FileFormat | None = None,
) -> Export:
    """Write ``network`` for one normalised image at a time, and prove it on real images.

    Args:
        network: In evaluation mode; images (n, c, h, w) to logits (n, classes).
        images: Normalised, (n, c, h, w).
        labels: (n,).
        path: Where the file goes.
        card: What the model card has beside the facts of the export.
        made_by: The format; if not given, that which the suffix of ``path`` means.

    Raises:
        ExportError: The file's logits differ from torch's by more than ``PARITY_TOLERANCE`` of the largest,
            beyond what rounding explains, or the disk refuses; no file is left.
        UnknownNameError: No format has that suffix.
        UnsupportedOperationError: An operation of the network has no form in the format.
    """
    made_by = made_by or formats.of_file(path)
    judging = NormalisedJudging(images, labels)
    with made_folder(path.parent):
        [export] = written(Source(network.cpu(), judging, judging, card), path, made_by).values()
    return export
