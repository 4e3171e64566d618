"""Loading CLIP's weights into an image tower, and reporting exactly what was loaded."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from xreid_plugin.modeling.clip_config import uses_quick_gelu
from xreid_plugin.modeling.weight_files import read_weight_file

logger = logging.getLogger(__name__)

_POSITIONS = "positional_embedding"
# Every CLIP ViT has exactly one parameter of this name, and no text tower has it.
_LANDMARK = "class_embedding"
# Any other type has been quantised, and means nothing without its scales, or is not a weight at all.
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class FetchedWeights(NamedTuple):
    """A downloaded file, and whether its model was trained with QuickGELU."""

    path: Path
    quick_gelu: bool


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor; names are those of open_clip's VisionTransformer.

    Attributes:
        source: the file.
        loaded: parameters that took their values from the file.
        resized: those of them whose grid was changed, with both grids.
        missing: parameters that the file does not have.
        unexpected: tensors of the file's image tower that the tower has no place for.
        mismatched: parameters of another shape in the file, with both shapes.
        ignored: how many tensors lie outside the file's image tower, such as those of the text tower.
        warnings: what was loaded but is likely to be a mistake.
    """

    source: Path
    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    ignored: int
    warnings: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the file holds this tower: all of its parameters, in their shapes, and no further layers."""
        deeper = any(name.startswith("transformer.resblocks.") for name in self.unexpected)
        return not (self.missing or self.mismatched or deeper)

    def __str__(self) -> str:
        lines = [f"CLIP weights from {self.source}: {len(self.loaded)} loaded, {self.ignored} outside the image tower"]
        for title in ("resized", "missing", "unexpected", "mismatched", "warnings"):
            entries = getattr(self, title)
            if entries:
                lines.append(f"  {title} ({len(entries)}): {'; '.join(entries)}")
        return "\n".join(lines)


def fetch_pretrained(model: str, tag: str) -> FetchedWeights:
    """Get weights by open_clip's tag, from its cache or from the network.

    Args:
        model: open_clip's name of the model, for instance "ViT-B-16-quickgelu".
        tag: the tag, for instance "openai".

    Raises:
        ValueError: open_clip has no such tag for the model.
        FileNotFoundError: the file is not in the cache and cannot be downloaded.
    """
    entry = open_clip.get_pretrained_cfg(model, tag)
    by_file = "Give a file of weights by MODEL.BACKBONE.PRETRAIN_PATH instead"
    if not entry:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise ValueError(
            f"MODEL.BACKBONE.CLIP_TAG: open_clip has no weights {tag!r} for {model} (it has: {tags}). {by_file}."
        )
    try:
        path = open_clip.download_pretrained(entry)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"MODEL.BACKBONE.CLIP_TAG: the weights {tag!r} of {model} are not in the cache and could not be "
            f"downloaded. {by_file}. ({error})"
        ) from error
    return FetchedWeights(Path(path), bool(entry.get("quick_gelu", False)))


def load_clip_weights(tower: VisionTransformer, path: Path, *, quick_gelu: bool | None = None) -> LoadReport:
    """Load an image tower from a file: a whole CLIP model, its tower alone, or a model that has one as its backbone.

    The tower is found by its class embedding, so any prefix will do. Values are converted to the tower's dtype, and the
    position embedding is resized to its grid: from a square where the number of positions is one, and else only if the
    file has as many as the tower. The tower is left as it was if the file does not fit.

    Args:
        tower: changed in place.
        path: see :func:`xreid_plugin.modeling.weight_files.read_weight_file` for the formats.
        quick_gelu: whether the weights were trained with QuickGELU; None where that is not known. A TorchScript archive
            is taken to be OpenAI's, which were.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read without running code, holds no image tower, holds another one, or holds
            numbers that cannot be weights.
    """
    file = read_weight_file(path)
    prefix = _tower_prefix(file.tensors, path)
    found = {name.removeprefix(prefix): value for name, value in file.tensors.items() if name.startswith(prefix)}
    wanted = tower.state_dict()
    _refuse_other_numbers({name: value for name, value in found.items() if name in wanted}, path)
    warnings = _activation_warnings(tower, True if file.torchscript else quick_gelu)
    resized: list[str] = []
    if _POSITIONS in found:
        positions, note = _fit_positions(found[_POSITIONS].float(), tower.grid_size, warnings)
        found[_POSITIONS] = positions
        resized += note

    mismatched = {name for name in wanted if name in found and found[name].shape != wanted[name].shape}
    loaded = [name for name in wanted if name in found and name not in mismatched]
    report = LoadReport(
        source=path,
        loaded=tuple(loaded),
        resized=tuple(resized),
        missing=tuple(name for name in wanted if name not in found),
        unexpected=tuple(name for name in found if name not in wanted),
        mismatched=tuple(
            f"{name} {list(found[name].shape)} in the file, {list(wanted[name].shape)} in the tower"
            for name in sorted(mismatched)
        ),
        ignored=len(file.tensors) - len(found),
        warnings=tuple(warnings),
    )
    if not report.fits:
        raise ValueError(f"the weights do not fit MODEL.BACKBONE.CLIP_MODEL.\n{report}")
    tower.load_state_dict({name: found[name].to(wanted[name].dtype) for name in loaded})
    for warning in warnings:
        logger.warning("%s: %s", path, warning)
    return report


def resize_positions(positions: Tensor, source: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """Resample a position embedding to another grid, bilinearly and without antialiasing [C]; the class row is kept.

    Args:
        positions: (1 + h·w, D) float32, the class token's row first, then the grid's, row by row.
        source: (h, w).
        target: (h', w').

    Returns:
        (1 + h'·w', D); the input itself where the grids are equal.
    """
    if tuple(source) == tuple(target):
        return positions
    grid = positions[1:].T.reshape(1, -1, *source)
    resized = F.interpolate(grid, size=tuple(target), mode="bilinear", align_corners=False)
    return torch.cat([positions[:1], resized[0].flatten(1).T])


def _tower_prefix(tensors: dict[str, Tensor], path: Path) -> str:
    prefixes = [name.removesuffix(_LANDMARK) for name in tensors if name.split(".")[-1] == _LANDMARK]
    if len(prefixes) != 1:
        what = f"{len(prefixes)} image towers ({', '.join(prefixes)})" if prefixes else "no CLIP image tower"
        raise ValueError(
            f"{path} holds {what}: one tensor named [PREFIX.]{_LANDMARK} is expected. "
            f"Its first names are {', '.join(list(tensors)[:5])}"
        )
    return prefixes[0]


def _refuse_other_numbers(tensors: dict[str, Tensor], path: Path) -> None:
    for name, value in tensors.items():
        if value.dtype not in _DTYPES:
            kind = str(value.dtype).removeprefix("torch.")
            raise ValueError(
                f"{path}: '{name}' holds numbers of type {kind}, which CLIP's weights never are: save the model's "
                "state_dict in float32, or in another float of 16 bits or more."
            )


def _fit_positions(positions: Tensor, target: tuple[int, int], warnings: list[str]) -> tuple[Tensor, list[str]]:
    """Bring positions to the target grid; left as they are, to be reported as a mismatch, if their grid is unknown."""
    if positions.ndim != 2 or positions.shape[0] < 2 or not positions.shape[1]:
        return positions, []
    count = positions.shape[0] - 1
    side = math.isqrt(count)
    if side * side == count:
        source = (side, side)
        if count == math.prod(target) and source != target:
            warnings.append(
                f"{count} positions were read as a square {side}x{side} grid, though the tower's "
                f"{target[0]}x{target[1]} has as many"
            )
    elif count == math.prod(target):
        source = target
    else:
        return positions, []
    note = [f"{_POSITIONS} {source[0]}x{source[1]} to {target[0]}x{target[1]}"] if source != target else []
    return resize_positions(positions, source, target), note


def _activation_warnings(tower: VisionTransformer, trained_with_quick_gelu: bool | None) -> list[str]:
    if trained_with_quick_gelu is None or trained_with_quick_gelu == uses_quick_gelu(tower):
        return []
    trained, built = ("QuickGELU", "GELU") if trained_with_quick_gelu else ("GELU", "QuickGELU")
    remedy = "with" if trained_with_quick_gelu else "without"
    return [
        f"the weights were trained with {trained}, the tower has {built}: "
        f"use the name {remedy} '-quickgelu' as MODEL.BACKBONE.CLIP_MODEL"
    ]
