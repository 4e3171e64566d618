import json
import logging
import math

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


@torchscript
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_tower_that_open_clip_saved(tmp_path, name):
    clip = make_clip()
    WRITERS[name](clip, tmp_path / name)
    tower = build_image_tower("xreid-tiny", SIZE).eval()
    report = load_clip_weights(tower, tmp_path / name)
    images = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        assert_close(tower(images), clip.encode_image(images))
    assert set(report.loaded) == set(tower.state_dict())
    assert (report.resized, report.missing, report.unexpected, report.mismatched, report.warnings) == ((),) * 5


def test_report_counts_what_lies_outside_the_image_tower(tmp_path):
    clip = make_clip()
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    report = load_clip_weights(build_image_tower("xreid-tiny", SIZE), tmp_path / "clip.pt")
    outside = [name for name in clip.state_dict() if not name.startswith("visual.")]
    assert report.ignored == len(outside) > 0
    assert f"{len(report.loaded)} loaded, {len(outside)} outside" in str(report)


def test_half_precision_becomes_float32(tmp_path):
    state = {name: value.half() for name, value in make_clip().visual.state_dict().items()}
    torch.save(state, tmp_path / "half.pt")
    tower = build_image_tower("xreid-tiny", (32, 16))
    load_clip_weights(tower, tmp_path / "half.pt")
    assert {parameter.dtype for parameter in tower.parameters()} == {torch.float32}
    assert_close(tower.proj.detach(), state["proj"].float(), rtol=0, atol=0)


def test_positions_are_fitted_to_the_tower(tmp_path):
    state = make_clip().visual.state_dict()
    torch.save(state, tmp_path / "square.pt")
    tower = build_image_tower("xreid-tiny", (40, 16))
    report = load_clip_weights(tower, tmp_path / "square.pt")
    assert report.resized == ("positional_embedding 4x4 to 5x2",)
    expected = resize_positions(state["positional_embedding"], (4, 4), (5, 2))
    assert_close(tower.positional_embedding.detach(), expected)


def test_positions_of_the_same_rectangle_are_kept(tmp_path):
    trained = build_image_tower("xreid-tiny", (40, 16))
    torch.save(trained.state_dict(), tmp_path / "rectangle.pt")
    tower = build_image_tower("xreid-tiny", (40, 16))
    assert load_clip_weights(tower, tmp_path / "rectangle.pt").resized == ()
    assert_close(tower.state_dict(), trained.state_dict())


def test_positions_that_could_be_two_grids_are_read_as_a_square_with_a_warning(tmp_path):
    trained = build_image_tower("xreid-tiny", (64, 16))
    torch.save(trained.state_dict(), tmp_path / "sixteen.pt")
    tower = build_image_tower("xreid-tiny", (64, 16))
    report = load_clip_weights(tower, tmp_path / "sixteen.pt")
    assert report.resized == ("positional_embedding 4x4 to 8x2",)
    assert "square 4x4" in report.warnings[0]
    expected = resize_positions(trained.positional_embedding.detach(), (4, 4), (8, 2))
    assert_close(tower.positional_embedding.detach(), expected)


@pytest.mark.parametrize(
    ("vision", "complaint"),
    [
        ({"width": 96}, r"mismatched.*conv1\.weight \[96, 3, 8, 8\] in the file, \[128, 3, 8, 8\] in the tower"),
        ({"layers": 3}, r"missing.*transformer\.resblocks\.3\."),
        ({"layers": 5}, r"unexpected.*transformer\.resblocks\.4\."),
        ({"patch_size": 16}, r"mismatched.*conv1\.weight"),
    ],
)
def test_another_architecture_is_refused_and_leaves_the_tower_alone(tmp_path, vision, complaint):
    torch.save(make_clip(**vision).state_dict(), tmp_path / "other.pt")
    tower = build_image_tower("xreid-tiny", SIZE)
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    with pytest.raises(ValueError, match=rf"(?s)MODEL\.BACKBONE\.CLIP_MODEL.*{complaint}"):
        load_clip_weights(tower, tmp_path / "other.pt")
    assert_close(dict(tower.state_dict()), before, rtol=0, atol=0)


def test_positions_of_no_known_grid_are_refused(tmp_path):
    state = make_clip().visual.state_dict()
    state["positional_embedding"] = torch.zeros(1 + 15, 128)
    torch.save(state, tmp_path / "fifteen.pt")
    with pytest.raises(ValueError, match=r"positional_embedding \[16, 128\] in the file, \[17, 128\]"):
        load_clip_weights(build_image_tower("xreid-tiny", SIZE), tmp_path / "fifteen.pt")


def test_file_without_an_image_tower(tmp_path):
    torch.save({"layer1.weight": torch.ones(2)}, tmp_path / "resnet.pt")
    with pytest.raises(ValueError, match=r"no CLIP image tower.*layer1\.weight"):
        load_clip_weights(build_image_tower("xreid-tiny", SIZE), tmp_path / "resnet.pt")


def test_file_with_two_image_towers(tmp_path):
    state = make_clip().visual.state_dict()
    torch.save(prefixed(state, "visual.") | prefixed(state, "teacher."), tmp_path / "two.pt")
    with pytest.raises(ValueError, match=r"2 image towers \(visual\., teacher\.\)"):
        load_clip_weights(build_image_tower("xreid-tiny", SIZE), tmp_path / "two.pt")


@pytest.fixture
def plain_gelu(tmp_path):
    config = tmp_path / "gelu.json"
    config.write_text(json.dumps(read_model_config("xreid-tiny") | {"quick_gelu": False}))
    return str(config)


@torchscript
def test_openai_archive_in_a_tower_without_quick_gelu_warns(tmp_path, caplog, plain_gelu):
    save_torchscript(make_clip(), tmp_path / "openai.pt")
    with caplog.at_level(logging.WARNING):
        report = load_clip_weights(build_image_tower(plain_gelu, SIZE), tmp_path / "openai.pt")
    assert "trained with QuickGELU, the tower has GELU" in report.warnings[0]
    assert report.warnings[0] in caplog.text
    assert report.warnings[0] in str(report)


@pytest.mark.parametrize(("trained", "expected"), [(True, "trained with QuickGELU"), (False, None), (None, None)])
def test_activation_is_compared_where_it_is_known(tmp_path, plain_gelu, trained, expected):
    torch.save(make_clip().state_dict(), tmp_path / "clip.pt")
    report = load_clip_weights(build_image_tower(plain_gelu, SIZE), tmp_path / "clip.pt", quick_gelu=trained)
    assert bool(report.warnings) == bool(expected)
    assert expected is None or expected in report.warnings[0]


def test_tag_is_resolved_by_open_clip(tmp_path, monkeypatch):
    entry = open_clip.get_pretrained_cfg("ViT-B-16-quickgelu", "openai")
    monkeypatch.setitem(entry, "file", str(tmp_path / "weights.pt"))
    fetched = fetch_pretrained("ViT-B-16-quickgelu", "openai")
    assert fetched.path == tmp_path / "weights.pt"
    assert fetched.quick_gelu


def test_tag_out_of_reach_says_how_to_give_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"CLIP_TAG.*'openai'.*MODEL\.BACKBONE\.PRETRAIN_PATH"):
        fetch_pretrained("ViT-B-16-quickgelu", "openai")


def test_unknown_tag_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"CLIP_TAG.*'opnai'.*openai.*PRETRAIN_PATH"):
        fetch_pretrained("ViT-B-16-quickgelu", "opnai")


sides = st.integers(1, 9)


@given(height=sides, width=sides)
def test_equal_grids_change_nothing(height, width):
    positions = torch.randn(1 + height * width, 3)
    assert_close(resize_positions(positions, (height, width), (height, width)), positions, rtol=0, atol=0)


@given(source=st.tuples(sides, sides), target=st.tuples(sides, sides))
def test_class_row_is_kept_and_a_constant_stays_one(source, target):
    positions = torch.full((1 + math.prod(source), 2), 0.75)
    positions[0] = torch.tensor([5.0, -5.0])
    resized = resize_positions(positions, source, target)
    assert_close(resized[0], positions[0], rtol=0, atol=0)
    assert_close(resized[1:], torch.full((math.prod(target), 2), 0.75))


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


def test_enlarged_ramp_stays_a_ramp_away_from_the_border():
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    ramp = (2 * rows - 3 * columns).reshape(-1, 1)
    resized = resize_positions(torch.cat([torch.zeros(1, 1), ramp]), (8, 8), (16, 12))[1:].reshape(16, 12)
    # Pixel centres: output i lies at source (i + 1/2)·8/16 - 1/2 in rows and (j + 1/2)·8/12 - 1/2 in columns.
    y = (torch.arange(16.0) + 0.5) * 0.5 - 0.5
    x = (torch.arange(12.0) + 0.5) * 2 / 3 - 0.5
    expected = 2 * y[:, None] - 3 * x[None, :]
    assert_close(resized[4:-4, 3:-3], expected[4:-4, 3:-3], rtol=1e-5, atol=1e-5)
