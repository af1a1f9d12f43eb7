"""The files of a network: written, verified against torch, each with a card and an example beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from cars_hw.ledger import Json
from cars_hw.results.exporting.example import example_path, example_text
from cars_hw.results.exporting.facts import app_facts, description, file_facts
from cars_hw.results.exporting.images import JudgingImages, PixelJudging
from cars_hw.results.exporting.options import FileOptions
from cars_hw.results.exporting.proof import Figures, Reference, examined, torch_reference
from cars_hw.results.model_card import card_content, card_path
from cars_hw.runs import writing_into
from devices.foundation import plugin_name, replace_file
from profilers import ExportError, FileFormat, WithPreprocessing, WithSoftmax

#: Largest difference of an output between a file of half-precision weights and the float one, as a share of
#: the largest.
FP16_TOLERANCE = 1e-3
#: Outputs of untrained networks are small sums of large terms, and are for nobody.
_UNTRAINED_TIMES = 10

#: Images that set the ranges of 8-bit activations, at most.
_MAX_RANGE_IMAGES = 256


@dataclass(frozen=True)
class Export:
    """A written network.

    Attributes:
        path: The file; its card is a JSON file beside it.
        size_bytes: Size of the file.
        max_difference: Largest absolute difference of an output, over all images: to torch, or of a file that
            was made of a float one, to that.
        error: Share of the images that the file classifies wrongly; ``None`` where none have labels.
        file_format: Name of its format.
        measured: What was measured of the member of a front that it is, by the names of latencies; nothing
            of a file that was made of a float one.
        weights: ``"retrained"``, ``"search"`` or ``"untrained"``; empty where that was not told.
        judged_on: Which images judged it; empty where that was not told.
        images: How many verified it.
        error_before: The float file's error, of a file that was made of it.
        example: A program that classifies images with the file; ``None`` where there is none.
    """

    path: Path
    size_bytes: int
    max_difference: float
    error: float | None
    file_format: str
    measured: Mapping[str, Json] = field(default_factory=dict)
    weights: str = ""
    judged_on: str = ""
    images: int = 0
    error_before: float | None = None
    example: Path | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the figures by name."""
        return {
            "file": str(self.path),
            "size_bytes": self.size_bytes,
            "weights": self.weights,
            "error": self.error,
            **({} if self.error_before is None else {"error_before": self.error_before}),
            "judged_on": self.judged_on,
            "images": self.images,
            "max_difference_to_torch": self.max_difference,
            **({} if self.example is None else {"example": str(self.example)}),
            **({"measured": dict(self.measured)} if self.measured else {}),
        }


@dataclass(frozen=True)
class Source:
    """A network that files are written of.

    Attributes:
        network: In evaluation mode, on the CPU; normalised images (n, c, h, w) to logits (n, classes).
        judging: Images that verify the files, and judge them.
        ranges: Others, whose activations set the ranges of 8-bit integers.
        card: What model cards have beside the facts of the files.
        weights: As ``Export`` has it.
        judged_on: As ``Export`` has it.
    """

    network: nn.Module
    judging: JudgingImages
    ranges: JudgingImages
    card: Mapping[str, Json]
    weights: str = ""
    judged_on: str = ""


def written(
    source: Source, path: Path, made_by: FileFormat, options: FileOptions | None = None
) -> dict[str, Export]:
    """Write the files of a network, the float one first, into a folder that is there.

    Args:
        source: The network.
        path: Where the float file goes; the others lie beside it.
        made_by: Their format.
        options: What they hold; if not given, the network alone.

    Returns:
        The files by what stands in their names: ``""``, ``"fp16"``, ``"int8"``.

    Raises:
        ExportError: A file does not give what it should, or the disk refuses; those before it are left.
        UnsupportedOperationError: An operation of the network has no form in the format.
    """
    options = options or FileOptions()
    writer = _Writer(source, path, made_by, options)
    makers, whole = {"fp16": writer.halved, "int8": writer.quantised}, writer.whole()
    return {"": whole.export, **{extra: makers[extra](whole) for extra in options.extras}}


@dataclass(frozen=True)
class _Whole:
    """The float file, which others are made of.

    Attributes:
        content: As it was lowered, without a description.
        figures: What was found of it.
        export: What was written.
    """

    content: bytes
    figures: Figures
    export: Export


class _Writer:
    """Writes the files of one network.

    Args:
        source: The network.
        path: Where the float file goes.
        made_by: Their format.
        options: What they hold.
    """

    def __init__(self, source: Source, path: Path, made_by: FileFormat, options: FileOptions) -> None:
        self._source, self._path, self._made_by, self._options = source, path, made_by, options

    def whole(self) -> _Whole:
        """Write the float file.

        Raises:
            ExportError: It does not compute what torch does.
        """
        options, judging = self._options, self._source.judging
        shape = (options.images_at_once, *judging.image_shape)
        lowered = self._made_by.lower(
            self._bordered(),
            [shape],
            input_dtype="uint8" if options.with_preprocessing else "float32",
            is_batch_dynamic=options.batch == "dynamic",
        )
        reference = torch_reference(self._source.network, judging, with_softmax=options.with_softmax)
        content = self._described(self._path, lowered, {})
        figures = examined(content, judging, reference.outputs, self._made_by, options)
        _require_equal(self._path, figures, reference)
        export = self._export(self._path, content, figures)
        self._write(export, content, {"tolerance": reference.tolerance})
        return _Whole(lowered, figures, export)

    def halved(self, whole: _Whole) -> Export:
        """Write a second file, with weights of half precision.

        Raises:
            ExportError: It gives something else.
        """
        facts = _made_of(whole.export, {"weights": "float16", "activations": "float32"})
        path, before = self._beside("fp16"), whole.figures.outputs
        content = self._described(path, self._made_by.halve(whole.content), facts)
        figures = examined(content, self._source.judging, before, self._made_by, self._options)
        share, most = figures.difference / float(abs(before).max()), FP16_TOLERANCE
        if figures.error is None:
            most *= _UNTRAINED_TIMES
        if not share <= most:
            raise ExportError(
                f"in half precision, {self._path.name} differs by {share:.2%} of its largest output, over "
                f"{most:.2%}: not kept; keep the float file"
            )
        export = replace(self._export(path, content, figures), error_before=whole.figures.error)
        self._write(export, content, facts)
        return export

    def quantised(self, whole: _Whole) -> Export:
        """Write a further file, with 8-bit integers inside.

        Raises:
            ExportError: Its error grows by more than allowed.
        """
        parts = list(self._source.ranges.inputs(are_pixels=self._options.with_preprocessing))
        used = torch.cat(parts)[:_MAX_RANGE_IMAGES]
        how: dict[str, Json] = {
            "weights": "int8, a scale per output channel",
            "activations": "int8",
            "calibration_images": len(used),
            "max_error_growth": self._options.max_error_growth_share,
        }
        path, facts = self._beside("int8"), _made_of(whole.export, how)
        content = self._described(path, self._made_by.quantize(whole.content, used.numpy()), facts)
        figures = examined(content, self._source.judging, whole.figures.outputs, self._made_by, self._options)
        self._require_little_growth(figures, whole.figures)
        export = replace(self._export(path, content, figures), error_before=whole.figures.error)
        self._write(export, content, facts)
        return export

    def _require_little_growth(self, after: Figures, before: Figures) -> None:
        """Refuse 8-bit integers that cost too much.

        The ranges come from other images than those that judge, so that the growth is that on unseen ones.

        Raises:
            ExportError: They do.
        """
        most = self._options.max_error_growth_share
        if most is None or after.error is None or before.error is None:
            return  # without labels, there is no error that grows
        if not after.error - before.error <= most:
            raise ExportError(
                f"with 8-bit integers, {self._path.name} errs on {after.error:.2%} of the images instead of "
                f"{before.error:.2%}, which grows by more than {most * 100:g} points: not "
                "kept; keep the float file, or allow the error to grow by more"
            )

    def _bordered(self) -> nn.Module:
        """Return the network with what the file holds before and behind it."""
        network, judging = self._source.network, self._source.judging
        if self._options.with_preprocessing:
            if not isinstance(judging, PixelJudging):
                raise ExportError("preprocessing needs pixels, and normalised images are given")
            network = WithPreprocessing(network, judging.mean, judging.std)
        return WithSoftmax(network) if self._options.with_softmax else network

    def _described(self, path: Path, content: bytes, facts: Mapping[str, Json]) -> bytes:
        """Return a file that says of itself what its card says of the network, where its format can."""
        judging = self._source.judging
        if not isinstance(judging, PixelJudging) or type(self._made_by).embed is FileFormat.embed:
            return content
        told = {**self._source.card, **app_facts(judging, self._made_by, self._options), **facts}
        return self._made_by.embed(content, description(path.stem, told, judging, self._options))

    def _beside(self, word: str) -> Path:
        return self._path.with_suffix(f".{word}{self._made_by.suffix}")

    def _export(self, path: Path, content: bytes, figures: Figures) -> Export:
        """Return what is known of a file that is not written yet."""
        source, judging = self._source, self._source.judging
        return Export(
            path,
            len(content),
            figures.difference,
            figures.error,
            plugin_name(type(self._made_by)),
            weights=source.weights,
            judged_on=source.judged_on,
            images=len(judging),
            example=example_path(path) if self._example(path) else None,
        )

    def _example(self, path: Path) -> str:
        """Return the example of a file; empty where there is none."""
        judging = self._source.judging
        if not isinstance(judging, PixelJudging):
            return ""
        return example_text(path, judging, plugin_name(type(self._made_by)), self._options)

    def _write(self, export: Export, content: bytes, facts: Mapping[str, Json]) -> None:
        """Write a file, its example and its card; facts of the file stand after those of the network."""
        card = {
            **self._source.card,
            **facts,
            **app_facts(self._source.judging, self._made_by, self._options),
            **file_facts(export.path.name, content, self._made_by),
            "verified": _verified(export),
        }
        _replace(export.path, content)
        if export.example is not None:
            _replace(export.example, self._example(export.path).encode())
        # The card goes last: one that is older than its file is refused by its digest, and never believed.
        _replace(card_path(export.path), card_content(card))


def _made_of(whole: Export, how: Mapping[str, Json]) -> dict[str, Json]:
    """Return how a file was made of the float one, for its card."""
    of_float: dict[str, Json] = {
        "float_file": whole.path.name,
        "float_size_bytes": whole.size_bytes,
        "float_error": whole.error,
    }
    return {"quantisation": {**how, **of_float}}


def _require_equal(path: Path, figures: Figures, reference: Reference) -> None:
    """Refuse a file that does not compute what torch does.

    Raises:
        ExportError: It does not.
    """
    # Not ``>``: a difference that is NaN has to be refused too.
    if not figures.difference <= reference.tolerance:
        raise ExportError(
            f"{path.name} differs from torch by {figures.difference:.2e}, over {reference.tolerance:.0e}: "
            "not kept"
        )


def _verified(export: Export) -> dict[str, Json]:
    """Return what was found of a file, for its card."""
    return {
        "images": export.images,
        "judged_on": export.judged_on,
        "error": export.error,
        "max_difference_to_torch": export.max_difference,
    }


def _replace(path: Path, content: bytes) -> None:
    """Write a file into a folder that is there.

    Raises:
        ExportError: The disk refuses.
    """
    try:
        with writing_into(path.parent):
            path.parent.stat()  # one that was there, and is not any more, is not made again
            replace_file(path, content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}; choose another folder") from error
