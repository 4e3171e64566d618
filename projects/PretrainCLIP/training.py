"""CLIP's objective on drawn people: image tower and text tower learn to find each other's picture and description.

Shapes: N pictures, B of a batch, E channels that picture and text share.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import open_clip
import torch
from fastreid.modeling.backbones.resnet import BasicBlock, ResNet
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.v2 import Grayscale
from tqdm import tqdm

from projects.PretrainCLIP.descriptions import describe
from projects.PretrainCLIP.pictures import Pictures
from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import Modality
from xreid_plugin.modeling.clip_config import read_model_config

RESNET18 = "resnet18"
# The text tower beside an image tower that is not CLIP's.
_TEXT_OF = "xreid-demo"
_HIGHEST_SCALE = 4.6052  # CLIP's: ln 100
_PADDING = 3  # Pixels of a random crop.
_LUMA = Grayscale(num_output_channels=3)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: AdamW, linear warm-up, then a cosine to zero.

    Attributes:
        steps: batches.
        batch: B, pictures of as many people.
        rate: the highest learning rate.
        warmup: steps.
        weight_decay: of matrices; vectors have none.
        black_and_white: share of the visible pictures that lose their hues, anew each time.
        half: multiply in bfloat16, which is faster where the processor has it.
    """

    steps: int
    batch: int = 128
    rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.05
    black_and_white: float = 0.6
    half: bool = False


class Retrieval(NamedTuple):
    """How often, in percent, a description finds the picture of its person among those of all (zero-shot).

    Attributes:
        visible: of visible pictures.
        infrared: of infrared pictures; of either, 0 where there is none.
        chance: of a guess.
    """

    visible: float
    infrared: float
    chance: float


class ResNetTower(nn.Module):
    """The host's ResNet-18 as CLIP's image tower: its map is averaged and projected to E channels."""

    def __init__(self, channels: int) -> None:
        """``channels`` is E, the length of an embedding, as of CLIP's text tower."""
        super().__init__()
        # As configs/baselines/bot_r18.yml builds it.
        self.backbone = ResNet(1, "BN", False, False, False, BasicBlock, [2, 2, 2, 2], [0, 0, 0, 0])
        self.projection = nn.Linear(512, channels, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float to (B, E)."""
        return self.projection(self.backbone(images).mean((2, 3)))


def build_clip(model: str, size: tuple[int, int]) -> Any:
    """A whole CLIP with fresh weights.

    Args:
        model: as MODEL.BACKBONE.CLIP_MODEL, or RESNET18.
        size: (H, W) of a picture.
    """
    config = read_model_config(_TEXT_OF if model == RESNET18 else model)
    vision = {**config["vision_cfg"], "image_size": size}
    clip = open_clip.CLIP(config["embed_dim"], vision, config["text_cfg"], quick_gelu=config.get("quick_gelu", False))
    if model == RESNET18:
        clip.visual = ResNetTower(config["embed_dim"])
    return clip


class Normalise(nn.Module):
    """uint8 pixels as the models of this toolbox see them; in training also flipped and cropped at random."""

    def __init__(self) -> None:
        """Mean and deviation are the configuration's defaults."""
        super().__init__()
        model = get_cfg().MODEL
        self.mean, self.std = (torch.tensor(values).view(1, 3, 1, 1) for values in (model.PIXEL_MEAN, model.PIXEL_STD))

    def forward(self, pixels: torch.Tensor, rng: np.random.Generator | None = None) -> torch.Tensor:
        """(B, 3, H, W) uint8 to float; with ``rng``, a flip and a crop of each."""
        if rng is not None:
            height, width = pixels.shape[2:]
            padded = F.pad(pixels, (_PADDING,) * 4)
            corners = rng.integers(0, 2 * _PADDING + 1, (len(pixels), 2)).tolist()
            crops = [one[:, y : y + height, x : x + width] for one, (y, x) in zip(padded, corners, strict=True)]
            mirrored = rng.uniform(size=len(crops)) < 0.5
            pixels = torch.stack([crop.flip(2) if m else crop for crop, m in zip(crops, mirrored, strict=True)])
        return (pixels - self.mean) / self.std


def teach(clip: Any, pictures: Pictures, schedule: Schedule, seed: int) -> list[float]:
    """Trains in place; deterministic on one machine. Returns the loss of every step.

    Raises:
        ValueError: a batch has more pictures than there are people.
    """
    if schedule.batch > len(pictures.people):
        raise ValueError(f"a batch of {schedule.batch} needs as many people; there are {len(pictures.people)}")
    rng, tokenizer, normalise = np.random.default_rng(seed), _tokenizer(clip), Normalise()
    by_person = [np.flatnonzero(pictures.owners == person) for person in range(len(pictures.people))]
    matrices = [parameter for parameter in clip.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in clip.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98), eps=1e-6, fused=True)
    contrast, losses = open_clip.ClipLoss(), []
    order: list[int] = []
    clip.train()
    with tqdm(desc="Teaching", total=schedule.steps, unit="step", leave=False, disable=None) as bar:
        for step in range(schedule.steps):
            # Everybody in turn, so that nobody is in a batch twice: two right answers would punish each other.
            if len(order) < schedule.batch:
                order = rng.permutation(len(by_person)).tolist()
            people, order = order[: schedule.batch], order[schedule.batch :]
            chosen = [int(rng.choice(by_person[person])) for person in people]
            visible = pictures.modalities[chosen] == Modality.VISIBLE
            grey = visible & (rng.uniform(size=len(chosen)) < schedule.black_and_white)
            texts = [describe(pictures.people[person], rng) for person in people]
            pixels = torch.from_numpy(pictures.pixels[chosen])
            pixels[grey] = _LUMA(pixels[grey])
            images = normalise(pixels, rng)
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate * _share(step, schedule)
            with torch.autocast("cpu", torch.bfloat16, enabled=schedule.half):
                image, text = clip.encode_image(images), clip.encode_text(tokenizer(texts))
            loss = contrast(F.normalize(image.float()), F.normalize(text.float()), clip.logit_scale.exp())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                clip.logit_scale.clamp_(0, _HIGHEST_SCALE)
            losses.append(loss.item())
            bar.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
            bar.update()
    return losses


def _share(step: int, schedule: Schedule) -> float:
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    return 0.5 * (1 + float(np.cos(np.pi * (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup))))


def _tokenizer(clip: Any) -> Any:
    return open_clip.SimpleTokenizer(context_length=clip.context_length)


@torch.no_grad()
def find_by_description(clip: Any, pictures: Pictures) -> Retrieval:
    """Zero-shot retrieval: the first picture of each person in either modality is sought by its full description."""
    clip.eval()
    tokenizer, normalise, found = _tokenizer(clip), Normalise(), {}
    for modality in Modality:
        picks = np.flatnonzero(pictures.modalities == modality)
        if not len(picks):
            found[modality] = 0.0
            continue
        owners, first = np.unique(pictures.owners[picks], return_index=True)
        texts = [describe(pictures.people[owner]) for owner in owners]
        images = torch.from_numpy(pictures.pixels[picks[first]])
        batches = [clip.encode_image(normalise(part), normalize=True) for part in images.split(256)]
        similarity = clip.encode_text(tokenizer(texts), normalize=True) @ torch.cat(batches).T
        hits = similarity.argmax(1) == torch.arange(len(owners))
        found[modality] = 100 * hits.float().mean().item()
    return Retrieval(found[Modality.VISIBLE], found[Modality.INFRARED], 100 / len(pictures.people))


def save(clip: Any, path: Path) -> None:
    """Writes what MODEL.BACKBONE.PRETRAIN_PATH reads: open_clip's checkpoint, or the host's of a ResNet."""
    tower = clip.visual
    state = tower.backbone.state_dict() if isinstance(tower, ResNetTower) else {"state_dict": clip.state_dict()}
    torch.save(state, path)
