"""Finding and loading CLIP's weights for an image tower."""

import logging
import math
from pathlib import Path

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


def fetch_pretrained(model: str, tag: str) -> tuple[Path, bool]:
    """Get weights by open_clip's tag, from its cache or from the network.

    Args:
        model: open_clip's name of the model, for instance "ViT-B-16-quickgelu".
        tag: the tag, for instance "openai".

    Returns:
        The file, and whether its model was trained with QuickGELU.

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
    return Path(path), bool(entry.get("quick_gelu", False))


def load_clip_weights(tower: VisionTransformer, path: Path, *, quick_gelu: bool | None = None) -> None:
    """Load an image tower from a file: a whole CLIP model, its tower alone, or a model that has one as its backbone.

    The tower is found by its class embedding, so any prefix will do. Values are converted to the tower's dtype, and the
    position embedding is resized to its grid. What was loaded is logged.

    Args:
        tower: changed in place.
        path: see :func:`xreid_plugin.modeling.weight_files.read_weight_file` for the formats.
        quick_gelu: whether the weights were trained with QuickGELU; None where that is not known. A TorchScript archive
            is taken to be OpenAI's, which were.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read without running code, holds no image tower, or holds another one.
    """
    file = read_weight_file(path)
    prefix = _tower_prefix(file.tensors, path)
    found = {name.removeprefix(prefix): value for name, value in file.tensors.items() if name.startswith(prefix)}
    if _POSITIONS in found:
        found[_POSITIONS] = _fitted_positions(found[_POSITIONS].float(), tower.grid_size, path)
    try:
        tower.load_state_dict(found)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit MODEL.BACKBONE.CLIP_MODEL: {error}") from error
    logger.info(f"CLIP weights from {path}: {len(found)} loaded, {len(file.tensors) - len(found)} outside the tower")
    trained, built = True if file.torchscript else quick_gelu, uses_quick_gelu(tower)
    if trained is not None and trained != built:
        names = {True: "QuickGELU", False: "GELU"}
        logger.warning(
            f"{path}: the weights were trained with {names[trained]}, the tower has {names[built]}: use the name "
            f"{'with' if trained else 'without'} '-quickgelu' as MODEL.BACKBONE.CLIP_MODEL"
        )


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


def _fitted_positions(positions: Tensor, target: tuple[int, int], path: Path) -> Tensor:
    """Positions on the target grid: from a square where their number is one, else left as they are."""
    count = len(positions) - 1
    side = math.isqrt(count)
    if side * side != count or target == (side, side):
        return positions
    logger.info(f"{path}: {_POSITIONS} {side}x{side} to {target[0]}x{target[1]}")
    return resize_positions(positions, (side, side), target)
