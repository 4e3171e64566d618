"""From the name of a CLIP model to an untrained image tower of the wanted image size."""

import dataclasses
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
from open_clip.transformer import LayerNorm, QuickGELU, VisionTransformer
from torch import nn
from torch.nn import functional as F

SHIPPED_CONFIGS = Path(__file__).parent / "clip_configs"

MODEL_KEY = "MODEL.BACKBONE.CLIP_MODEL"
_SUPPORTED = "plain ViT image towers with a class token, such as ViT-B-16-quickgelu, ViT-L-14-quickgelu or xreid-tiny"

# Larger than any real tower's, yet small enough that one number in a forged file cannot claim all of the memory.
_LARGEST = 16_384

# What a tower may set and still give class token, patches, final norm and projection in the way that X-ReID reads them.
# `output_tokens` only changes the return value of open_clip's own forward, which is not used.
_FIELDS_USED = {
    "image_size",
    "patch_size",
    "width",
    "layers",
    "head_width",
    "mlp_ratio",
    "ls_init_value",
    "no_ln_pre",
    "output_tokens",
}


class TowerShape(NamedTuple):
    """The sizes that other parts must fit.

    Attributes:
        width: token channels.
        patch: side of a patch, in pixels.
    """

    width: int
    patch: int


def read_model_config(model: str) -> dict[str, Any]:
    """Look up a model config in open_clip's format.

    Args:
        model: the path of a ``.json`` file, the bare name of a file in ``clip_configs``, or a name known to open_clip.

    Returns:
        A dict with at least ``embed_dim`` and ``vision_cfg``.

    Raises:
        FileNotFoundError: ``model`` ends in ``.json``, and there is no such file.
        ValueError: no such name, or the file is not a model config.
    """
    shipped = SHIPPED_CONFIGS / f"{model}.json"
    if model.endswith(".json"):
        return _read_config_file(Path(model))
    if shipped.is_file():
        return _read_config_file(shipped)
    known = [*open_clip.list_models(), *(path.stem for path in SHIPPED_CONFIGS.glob("*.json"))]
    # Asking open_clip only for names that it lists keeps it from using the network for "hf-hub:" names.
    if model in known:
        return open_clip.get_model_config(model)
    near = difflib.get_close_matches(model, known, n=3, cutoff=0.4)
    hint = f"; near it are {', '.join(near)}" if near else ""
    raise ValueError(f"{MODEL_KEY}: open_clip knows no model {model!r}{hint}. Supported: {_SUPPORTED}.")


def _read_config_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{MODEL_KEY}: there is no file {path}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{MODEL_KEY}: {path} is not JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("vision_cfg"), dict) or "embed_dim" not in config:
        raise ValueError(f"{MODEL_KEY}: {path} needs 'embed_dim' and 'vision_cfg' as in open_clip's model configs")
    return config


def build_image_tower(model: str, image_size: tuple[int, int]) -> VisionTransformer:
    """Build one image tower with fresh weights, directly at a rectangular image size.

    open_clip's own factory always builds the text tower as well, and its one function for the image tower alone is
    private. The tower's class is public, and its parameter names are the format of every released CLIP checkpoint,
    so it is the part that is least likely to change.

    Args:
        model: see :func:`read_model_config`.
        image_size: height and width in pixels, multiples of the model's patch size.

    Raises:
        FileNotFoundError: see :func:`read_model_config`.
        ValueError: unknown model, a tower of another kind, or an image size that patches do not tile.
    """
    config = read_model_config(model)
    vision = _plain_vision_config(model, config["vision_cfg"])
    check_tiling(image_size, vision.patch_size)
    tower = VisionTransformer(
        image_size=image_size,
        patch_size=vision.patch_size,
        width=vision.width,
        layers=vision.layers,
        heads=vision.width // vision.head_width,
        mlp_ratio=vision.mlp_ratio,
        ls_init_value=vision.ls_init_value,
        no_ln_pre=vision.no_ln_pre,
        output_dim=config["embed_dim"],
        act_layer=QuickGELU if config.get("quick_gelu", False) else nn.GELU,
        norm_layer=LayerNorm,
    )
    for block in tower.transformer.resblocks:
        block.attn = SelfAttention(block.attn)
    return tower


def tower_shape(model: str) -> TowerShape:
    """Token width and patch side of a tower, read without building it.

    Args:
        model: see :func:`read_model_config`.

    Raises:
        FileNotFoundError: see :func:`read_model_config`.
        ValueError: unknown model, or a tower of another kind.
    """
    vision = _plain_vision_config(model, read_model_config(model)["vision_cfg"])
    return TowerShape(vision.width, int(vision.patch_size))


def tiled_size(image_size: Sequence[int], patch: int) -> tuple[int, int]:
    """The size nearest to ``image_size`` (height, width) that whole patches tile."""
    height, width = (max(1, round(side / patch)) * patch for side in image_size)
    return height, width


def check_tiling(image_size: Sequence[int], patch: int) -> None:
    """Refuse an image size that is not made of whole patches.

    Raises:
        ValueError: patches do not tile the image; names the nearest size that they tile.
    """
    nearest = tiled_size(image_size, patch)
    if nearest != tuple(image_size):
        raise ValueError(
            f"INPUT.SIZE_TRAIN: {list(image_size)} (height, width) is not made of whole {patch}x{patch} patches; "
            f"the nearest size that is: {list(nearest)}"
        )


def uses_quick_gelu(tower: VisionTransformer) -> bool:
    """Whether the tower has the activation that OpenAI's weights were trained with."""
    return isinstance(tower.transformer.resblocks[0].mlp.gelu, QuickGELU)


def _plain_vision_config(model: str, vision_cfg: dict[str, Any]) -> open_clip.CLIPVisionCfg:
    """Read a vision config and refuse everything that would not be a plain ViT, naming the settings that differ."""
    defaults = {field.name: field.default for field in dataclasses.fields(open_clip.CLIPVisionCfg)}
    unknown = sorted(set(vision_cfg) - set(defaults))
    if unknown:
        raise ValueError(f"{MODEL_KEY}: {model} sets {', '.join(unknown)}, which open_clip does not know")
    odd = {name: value for name, value in vision_cfg.items() if name not in _FIELDS_USED and value != defaults[name]}
    # Four layer counts mean a ResNet; no released model has two patch sides.
    for name in ("layers", "patch_size"):
        if not isinstance(vision_cfg.get(name, defaults[name]), int):
            odd[name] = vision_cfg[name]
    if odd:
        settings = ", ".join(f"{name}={value!r}" for name, value in odd.items())
        raise ValueError(f"{MODEL_KEY}: {model} is not supported, because it sets {settings}. Supported: {_SUPPORTED}.")
    vision = open_clip.CLIPVisionCfg(**vision_cfg)
    for name in ("width", "layers", "head_width", "patch_size"):
        value = getattr(vision, name)
        if type(value) is not int or not 1 <= value <= _LARGEST:
            raise ValueError(f"{MODEL_KEY}: {model} sets {name}={value!r}; expected a whole number, 1 to {_LARGEST}.")
    if vision.width % vision.head_width:
        raise ValueError(
            f"{MODEL_KEY}: {model} sets head_width={vision.head_width}, which must divide width={vision.width}."
        )
    if type(vision.mlp_ratio) not in (int, float) or not 0 < vision.mlp_ratio <= _LARGEST:
        raise ValueError(f"{MODEL_KEY}: {model} sets mlp_ratio={vision.mlp_ratio!r}; expected a number above 0.")
    return vision


class SelfAttention(nn.Module):
    """Replaces an ``nn.MultiheadAttention`` whose query, key and value are the same; parameters keep their names.

    Torch's own moves the sequence to the front and projects the strided view that results. Without gradients such a
    product is made piece by piece, each with a copy of the weights: on the CPU in bfloat16 the copies take longer than
    the rest. Shapes: F frames, N tokens a frame, D channels.
    """

    def __init__(self, original: nn.MultiheadAttention) -> None:
        """
        Args:
            original: the module whose parameters are taken over; with biases, without dropout, batch first.
        """
        super().__init__()
        assert original.in_proj_bias is not None
        self.num_heads = original.num_heads
        self.in_proj_weight = original.in_proj_weight
        self.in_proj_bias = original.in_proj_bias
        self.out_proj = original.out_proj

    def forward(self, tokens: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, None]:
        """
        Args:
            tokens: (F, N, D); the other arguments of a MultiheadAttention repeat them, and are ignored.

        Returns:
            (F, N, D), and None where weights would be.
        """
        projected = F.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        heads = projected.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None
