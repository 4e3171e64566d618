import json
import logging

import huggingface_hub.constants
import open_clip
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from xreid_plugin.modeling.clip_config import build_image_tower, read_model_config
from xreid_plugin.modeling.clip_weights import fetch_pretrained, load_clip_weights, resize_positions

SIZE = (32, 32)


def torchscript(test):
    """OpenAI's files are TorchScript, so tests make some for as long as torch can; tracing fixes sizes, as meant."""
    for warning in ("`torch.jit:FutureWarning", "Converting a tensor to a Python:torch.jit.TracerWarning"):
        test = pytest.mark.filterwarnings(f"ignore:{warning}")(test)
    return test


def make_clip(seed=3, **vision):
    """A whole CLIP model by open_clip, with the image tower of xreid-tiny and a very small text tower."""
    torch.manual_seed(seed)
    config = read_model_config("xreid-tiny")
    text = {"context_length": 4, "vocab_size": 8, "width": 16, "heads": 2, "layers": 1}
    vision = config["vision_cfg"] | {"image_size": SIZE} | vision
    return open_clip.CLIP(config["embed_dim"], vision, text, quick_gelu=config["quick_gelu"]).eval()


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def save_torchscript(clip, path):
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = clip.visual
            self.register_buffer("input_resolution", torch.tensor(SIZE[0]))

        def forward(self, images):
            return self.visual(images)

    torch.jit.save(torch.jit.trace(Holder(), torch.randn(1, 3, *SIZE), check_trace=False), path)


WRITERS = {
    "open_clip.pt": lambda clip, path: torch.save({"epoch": 1, "name": "x", "state_dict": clip.state_dict()}, path),
    "distributed.pt": lambda clip, path: torch.save({"state_dict": prefixed(clip.state_dict(), "module.")}, path),
    "plain.pt": lambda clip, path: torch.save(clip.state_dict(), path),
    "tower.pt": lambda clip, path: torch.save(clip.visual.state_dict(), path),
    "backbone.pt": lambda clip, path: torch.save(prefixed(clip.visual.state_dict(), "backbone."), path),
    "host.pth": lambda clip, path: torch.save(
        {"model": prefixed(clip.visual.state_dict(), "backbone.visual.") | {"heads.weight": torch.ones(2)}}, path
    ),
    "clip.safetensors": lambda clip, path: safetensors.torch.save_file(clip.state_dict(), path),
    "openai.pt": save_torchscript,
}


@pytest.mark.slow
@torchscript
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_tower_that_open_clip_saved(tmp_path, name, caplog):
    clip = make_clip()
    WRITERS[name](clip, tmp_path / name)
    tower = build_image_tower("xreid-tiny", SIZE).eval()
    with caplog.at_level(logging.INFO):
        load_clip_weights(tower, tmp_path / name)
    assert f"{len(tower.state_dict())} loaded" in caplog.text
    images = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        assert_close(tower(images), clip.encode_image(images))


@pytest.mark.parametrize(("trained", "built"), [((32, 32), (40, 16)), ((40, 16), (40, 16)), ((64, 16), (64, 16))])
def test_positions_are_fitted_to_the_tower(tmp_path, trained, built):
    # OpenAI's are in half precision.
    state = build_image_tower("xreid-tiny", trained).half().state_dict()
    torch.save(state, tmp_path / "tower.pt")
    tower = build_image_tower("xreid-tiny", built)
    load_clip_weights(tower, tmp_path / "tower.pt")
    assert tower.proj.dtype == torch.float32
    expected = state["positional_embedding"].float()
    if len(expected) == 1 + 16:
        # Sixteen positions are read as a square.
        expected = resize_positions(expected, (4, 4), tower.grid_size)
    assert_close(tower.positional_embedding.detach(), expected)


@pytest.mark.parametrize(
    ("vision", "complaint"),
    [
        ({"width": 96}, r"conv1\.weight"),
        ({"layers": 3}, r"transformer\.resblocks\.3\."),
        ({"layers": 5}, r"transformer\.resblocks\.4\."),
    ],
)
def test_another_architecture_is_refused(tmp_path, vision, complaint):
    torch.save(make_clip(**vision).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=rf"(?s)other\.pt.*MODEL\.BACKBONE\.CLIP_MODEL.*{complaint}"):
        load_clip_weights(build_image_tower("xreid-tiny", SIZE), tmp_path / "other.pt")


@torchscript
@pytest.mark.parametrize(
    ("name", "trained", "warns"),
    [("openai.pt", None, True), ("plain.pt", True, True), ("plain.pt", False, False), ("plain.pt", None, False)],
)
def test_another_activation_warns_where_it_is_known(tmp_path, caplog, name, trained, warns):
    config = tmp_path / "gelu.json"
    config.write_text(json.dumps(read_model_config("xreid-tiny") | {"quick_gelu": False}))
    WRITERS[name](make_clip(), tmp_path / name)
    load_clip_weights(build_image_tower(str(config), SIZE), tmp_path / name, quick_gelu=trained)
    assert ("-quickgelu" in caplog.text) == warns


def test_tag_out_of_reach_or_unknown_says_how_to_give_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"CLIP_TAG.*'openai'.*MODEL\.BACKBONE\.PRETRAIN_PATH"):
        fetch_pretrained("ViT-B-16-quickgelu", "openai")
    with pytest.raises(ValueError, match=r"CLIP_TAG.*'opnai'.*openai.*PRETRAIN_PATH"):
        fetch_pretrained("ViT-B-16-quickgelu", "opnai")


sides = st.integers(1, 9)


def resampled(values, length):
    """A list, linearly between its nearest two values, and without antialiasing: a plain loop as oracle."""
    result = []
    for i in range(length):
        place = min(max((i + 0.5) * len(values) / length - 0.5, 0.0), len(values) - 1.0)
        left = min(int(place), len(values) - 1)
        right = min(left + 1, len(values) - 1)
        result.append(values[left] + (values[right] - values[left]) * (place - left))
    return result


@settings(deadline=None)
@given(source=st.tuples(sides, sides), target=st.tuples(sides, sides), seed=st.integers(0, 99))
def test_resize_is_linear_along_rows_and_columns(source, target, seed):
    grid = torch.randn(source, generator=torch.Generator().manual_seed(seed))
    columns = [resampled(row, target[1]) for row in grid.tolist()]
    expected = torch.tensor([resampled(list(column), target[0]) for column in zip(*columns, strict=True)]).T
    # The second channel is there to show that channels do not mix.
    positions = torch.cat([torch.zeros(1, 2), torch.stack([grid.flatten(), -2 * grid.flatten()], dim=1)])
    resized = resize_positions(positions, source, target)[1:].reshape(*target, 2)
    assert_close(resized[..., 0], expected, rtol=1e-4, atol=1e-5)
    assert_close(resized[..., 1], -2 * expected, rtol=1e-4, atol=1e-5)
