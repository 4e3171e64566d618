"""Weights of the authors' public code: their names and shapes in small, and what they compute, written out anew."""

import math

import pytest
import torch
from torch.nn import functional as F

from tests.modeling.tiny_model import D, E, N, make_model
from xreid_plugin.engine.checkpoints import load_for_evaluation, read_checkpoint
from xreid_plugin.modeling.public_weights import from_public_state, is_public_state

CAMERAS, LAYERS, TOWER_HEADS, MII_HEADS, PATCH, GRID, FRAMES = 4, 4, 4, 4, 8, (4, 2), 3
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


def public_shapes():
    shapes = {
        "cv_embed": (CAMERAS, D),
        "image_encoder.class_embedding": (D,),
        "image_encoder.positional_embedding": (1 + math.prod(GRID), D),
        "image_encoder.proj": (D, E),
        "image_encoder.conv1.weight": (D, 3, PATCH, PATCH),
        **norm("image_encoder.ln_pre", D),
        **norm("image_encoder.ln_post", D),
    }
    for i in range(LAYERS):
        block = f"image_encoder.transformer.resblocks.{i}"
        shapes |= {f"{block}.attn.in_proj_weight": (3 * D, D), f"{block}.attn.in_proj_bias": (3 * D,)}
        shapes |= linear(f"{block}.attn.out_proj", D, D) | norm(f"{block}.ln_1", D) | norm(f"{block}.ln_2", D)
        shapes |= linear(f"{block}.mlp.c_fc", D, 4 * D) | linear(f"{block}.mlp.c_proj", 4 * D, D)
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
        s, encoder = self.state, "image_encoder"
        patches = F.conv2d(image[None], s[f"{encoder}.conv1.weight"], stride=PATCH)[0].flatten(1).T
        x = torch.cat([(s[f"{encoder}.class_embedding"] + s["cv_embed"][camera - 1])[None], patches])
        x = self.layer_norm(f"{encoder}.ln_pre", x + s[f"{encoder}.positional_embedding"])
        for i in range(LAYERS):
            block = f"{encoder}.transformer.resblocks.{i}"
            y = self.layer_norm(f"{block}.ln_1", x)
            qkv = F.linear(y, s[f"{block}.attn.in_proj_weight"], s[f"{block}.attn.in_proj_bias"])
            x = x + self.linear(f"{block}.attn.out_proj", self.attend(*qkv.chunk(3, 1), TOWER_HEADS))
            y = self.linear(f"{block}.mlp.c_fc", self.layer_norm(f"{block}.ln_2", x))
            x = x + self.linear(f"{block}.mlp.c_proj", y * torch.sigmoid(1.702 * y))
        x = self.layer_norm(f"{encoder}.ln_post", x)
        return x, x[0] @ s[f"{encoder}.proj"]

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


def test_what_is_not_of_the_public_code_is_not_taken_for_it(model, state):
    assert not is_public_state(model.state_dict())
    assert not is_public_state([state])


@torch.no_grad()
def test_a_file_of_them_is_a_checkpoint_to_evaluate(model, state, tmp_path):
    file = tmp_path / "best_model.pth.tar"
    torch.save(state, file)
    load_for_evaluation(model, read_checkpoint(file))
    batch = {
        "images": torch.randint(256, (2, FRAMES, 3, 32, 16), dtype=torch.uint8),
        "camids": torch.tensor([1, 4]),
    }
    found = model(batch)
    model.load_state_dict(from_public_state(state), strict=False)
    assert torch.equal(found, model(batch))
