"""From the name of a CLIP model to an untrained image tower of the wanted image size."""

import dataclasses
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
from open_clip.transformer import LayerNorm, QuickGELU, VisionTransformer
from torch import nn

from xreid_plugin.modeling.attention import LastBlock, SelfAttention

SHIPPED_CONFIGS = Path(__file__).parent / "clip_configs"

MODEL_KEY = "MODEL.BACKBONE.CLIP_MODEL"
_SUPPORTED = "plain ViT image towers with a class token, such as ViT-B-16-quickgelu, ViT-L-14-quickgelu or xreid-tiny"

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
    path = Path(model) if model.endswith(".json") else SHIPPED_CONFIGS / f"{model}.json"
    if path.is_file():
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            return {"embed_dim": config["embed_dim"], "vision_cfg": config["vision_cfg"], **config}
        except (KeyError, ValueError) as error:
            raise ValueError(f"{MODEL_KEY}: {path} is no model config of open_clip's ({error})") from error
    if model.endswith(".json"):
        raise FileNotFoundError(f"{MODEL_KEY}: there is no file {path}")
    known = [*open_clip.list_models(), *(path.stem for path in SHIPPED_CONFIGS.glob("*.json"))]
    # Asking open_clip only for names that it lists keeps it from using the network for "hf-hub:" names.
    if model in known:
        return open_clip.get_model_config(model)
    near = difflib.get_close_matches(model, known, n=3, cutoff=0.4)
    hint = f"; near it are {', '.join(near)}" if near else ""
    raise ValueError(f"{MODEL_KEY}: open_clip knows no model {model!r}{hint}. Supported: {_SUPPORTED}.")


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
        ValueError: unknown model, or a tower of another kind.
    """
    config = read_model_config(model)
    vision = read_vision_config(model)
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
    tower.transformer.resblocks[-1] = LastBlock(tower.transformer.resblocks[-1])
    return tower


def tiled_size(image_size: Sequence[int], patch: int) -> tuple[int, int]:
    """The size nearest to ``image_size`` (height, width) that whole patches tile."""
    height, width = (max(1, round(side / patch)) * patch for side in image_size)
    return height, width


def uses_quick_gelu(tower: VisionTransformer) -> bool:
    """Whether the tower has the activation that OpenAI's weights were trained with."""
    return isinstance(tower.transformer.resblocks[0].mlp.gelu, QuickGELU)


def read_vision_config(model: str) -> open_clip.CLIPVisionCfg:
    """The sizes of a model's image tower, such as ``width``, the token channels, and ``patch_size``, in pixels.

    Raises:
        FileNotFoundError: see :func:`read_model_config`.
        ValueError: unknown model, or a tower that is no plain ViT; names the settings that differ.
    """
    vision_cfg = read_model_config(model)["vision_cfg"]
    defaults = {field.name: field.default for field in dataclasses.fields(open_clip.CLIPVisionCfg)}
    odd = {
        name: value
        for name, value in vision_cfg.items()
        if name not in defaults or (name not in _FIELDS_USED and value != defaults[name])
    }
    # Four layer counts mean a ResNet; no released model has two patch sides.
    odd |= {name: vision_cfg[name] for name in ("layers", "patch_size") if not isinstance(vision_cfg.get(name, 1), int)}
    if odd:
        settings = ", ".join(f"{name}={value!r}" for name, value in odd.items())
        raise ValueError(f"{MODEL_KEY}: {model} is not supported, because it sets {settings}. Supported: {_SUPPORTED}.")
    return open_clip.CLIPVisionCfg(**vision_cfg)
