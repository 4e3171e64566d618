"""Weights of the authors' public code: their names and shapes in small, and what they compute, written out anew."""

import math

import pytest
import torch
from torch.nn import functional as F

from tests.modeling.tiny_model import D, E, N, make_model
from xreid_plugin.engine.checkpoints import load_for_evaluation, read_checkpoint
from xreid_plugin.modeling.clip_vit import CLIPVisionTower
from xreid_plugin.modeling.public_weights import from_public_state, is_public_state

CAMERAS, MII_HEADS, FRAMES = 4, 4, 3
PUBLIC = {
    "MODEL.MII.LII.ENABLED": False,
    "MODEL.MII.SII.DEPTH": 2,
    "MODEL.BACKBONE.CAMERAS": list(range(1, CAMERAS + 1)),
}


def linear(name, width, height, bias=True):
    return {f"{name}.weight": (height, width), **({f"{name}.bias": (height,)} if bias else {})}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def batch_norm(name, width):
    return norm(name, width) | {f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}


def rotation(name):
    shapes = {**norm(f"{name}.norm1", D), **norm(f"{name}.attn.normy", D), **norm(f"{name}.norm2", D)}
    for projection in ("q_", "k_", "v_"):
        shapes |= linear(f"{name}.attn.{projection}", D, D, bias=False)
    shapes |= linear(f"{name}.attn.proj", D, D)
    return shapes | linear(f"{name}.mlp.fc1", D, 4 * D) | linear(f"{name}.mlp.fc2", 4 * D, D)


def make_tower():
    """CLIP's own, without cameras; the public code has it under CLIP's names."""
    return CLIPVisionTower(model="xreid-tiny", image_size=(32, 16))


def public_shapes():
    shapes = {
        "cv_embed": (CAMERAS, D),
        **{f"image_encoder.{name}": tensor.shape for name, tensor in make_tower().visual.state_dict().items()},
    }
    for part in ("TSM_space.Reconstuct_shift", "TSM_space.Reconstuct_shift2", "TSM_temp.Reconstuct_shift"):
        shapes |= rotation(f"{part}.Rotation")
    for level in ("temp", "frame"):
        shapes |= batch_norm(f"bn_feat_{level}", D) | batch_norm(f"bn_proj_{level}", E)
        shapes |= linear(f"classifier_clip_{level}", D + E, N, bias=False)
    for level in ("tp0", "tp1", "frame0", "frame1"):
        shapes |= batch_norm(f"bn_TSM_{level}", D) | linear(f"classifier_TSM_{level}", D, N, bias=False)
    return shapes | batch_norm("bottleneck_local", D)


@pytest.fixture(scope="module")
def state():
    generator = torch.Generator().manual_seed(0)
    tensors = {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in public_shapes().items()}
    for name, tensor in tensors.items():
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
    counts = {name.replace("mean", "var"): name for name in tensors if name.endswith("running_mean")}
    for name in counts:
        tensors[name.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    return tensors


class PublicEmbedding:
    """The public code's evaluation, clip by clip and head by head, from a state_dict; with a right shift."""

    def __init__(self, state):
        self.state = state

    def linear(self, name, x):
        return F.linear(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"))

    def layer_norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def batch_norm(self, name, x):
        mean, var, weight, bias = (self.state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    @staticmethod
    def attend(query, key, value, heads):
        """(Q, D), (M, D), (M, D) -> (Q, D)."""
        out = []
        for q, k, v in zip(query.chunk(heads, 1), key.chunk(heads, 1), value.chunk(heads, 1), strict=True):
            out.append((q @ k.T / math.sqrt(q.shape[1])).softmax(1) @ v)
        return torch.cat(out, 1)

    def frame(self, image, camera):
        """(3, H, W), normalised -> (1 + L, D) tokens and (E,) projected class token."""
        tower = make_tower()
        tower.visual.load_state_dict(
            {n.removeprefix("image_encoder."): t for n, t in self.state.items() if n.startswith("image_encoder.")}
        )
        tower.visual.class_embedding += self.state["cv_embed"][camera - 1]
        tokens, _, projected = tower(image[None])
        return tokens[0], projected[0]

    def rotate(self, name, x, patches):
        """(1, D) class token and (L, D) patches -> (1, D)."""
        query = self.linear(f"{name}.attn.q_", self.layer_norm(f"{name}.norm1", x))
        key = self.linear(f"{name}.attn.k_", self.layer_norm(f"{name}.attn.normy", patches))
        value = self.linear(f"{name}.attn.v_", patches)
        x = x + self.linear(f"{name}.attn.proj", self.attend(query, key, value, MII_HEADS))
        hidden = F.gelu(self.linear(f"{name}.mlp.fc1", self.layer_norm(f"{name}.norm2", x)))
        return x + self.linear(f"{name}.mlp.fc2", hidden)

    def __call__(self, clip, camera):
        """(T, 3, H, W), normalised -> (2·D + E,)."""
        tokens, projected = zip(*(self.frame(image, camera) for image in clip), strict=True)
        read = []
        for t, own in enumerate(tokens):
            patches = own[1:].clone()
            patches[:, : D // 4] = tokens[max(t - 1, 0)][1:, : D // 4]
            patches[:, D // 4 : D // 2] = tokens[min(t + 1, len(tokens) - 1)][1:, D // 4 : D // 2]
            first = self.rotate("TSM_space.Reconstuct_shift.Rotation", own[:1], patches)
            read.append(self.rotate("TSM_space.Reconstuct_shift2.Rotation", first, patches)[0])
        class_mean = torch.stack([x[0] for x in tokens]).mean(0)
        return torch.cat(
            [
                self.batch_norm("bn_feat_temp", class_mean),
                self.batch_norm("bn_proj_temp", torch.stack(projected).mean(0)),
                self.batch_norm("bn_TSM_tp0", torch.stack(read).mean(0)),
            ]
        )


@pytest.fixture
def model():
    return make_model(off=("CII",), **PUBLIC).eval()


@pytest.mark.parametrize("prefix", ["", "module."])
@torch.no_grad()
def test_the_embedding_is_the_public_codes(model, state, prefix):
    stored = {prefix + name: tensor for name, tensor in state.items()}
    assert is_public_state(stored)
    left = model.load_state_dict(from_public_state(stored), strict=False)
    assert not left.unexpected_keys
    assert all(name.startswith("prototypes.") for name in left.missing_keys)
    images = torch.randint(256, (3, FRAMES, 3, 32, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    cameras = torch.tensor([1, 4, 2])
    found = model({"images": images, "camids": cameras})
    normalised = (images - model.pixel_mean) / model.pixel_std
    public = PublicEmbedding(state)
    expected = torch.stack([public(*pair) for pair in zip(normalised, cameras.tolist(), strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_file_of_them_is_a_checkpoint_to_evaluate(model, state, tmp_path):
    file = tmp_path / "best_model.pth.tar"
    torch.save(state, file)
    load_for_evaluation(model, read_checkpoint(file))
    batch = {"images": torch.randint(256, (2, FRAMES, 3, 32, 16), dtype=torch.uint8), "camids": torch.tensor([1, 4])}
    found = model(batch)
    model.load_state_dict(from_public_state(state), strict=False)
    assert torch.equal(found, model(batch))
