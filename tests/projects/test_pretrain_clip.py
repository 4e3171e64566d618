"""tools/pretrain_clip.py: what it draws and says of it, that it teaches, and that its file is open_clip's and ours."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from torch.testing import assert_close

from projects.PretrainCLIP.descriptions import describe
from projects.PretrainCLIP.pictures import draw_pictures
from projects.PretrainCLIP.training import Schedule, build_clip, find_by_description, teach
from projects.SyntheticPeople import SyntheticSettings
from projects.SyntheticPeople.person import draw_person
from tests.tools.conftest import load_tool  # noqa: F401
from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import Modality
from xreid_plugin.host import build_model
from xreid_plugin.modeling.clip_config import build_image_tower
from xreid_plugin.modeling.clip_weights import load_clip_weights

SETTINGS = SyntheticSettings(train_identities=3, test_identities=3, size=(48, 24))
TINY = ["--size", "48", "24", "--people", "8", "--held-out", "4", "--each", "2", "--batch", "4", "--steps", "2"]


@pytest.fixture(scope="module")
def pictures():
    return draw_pictures(SETTINGS, first=0, people=12, each=3, infrared=0.5)


def test_pictures_are_of_people_whom_no_set_has_and_grey_where_infrared(pictures):
    outfits = {person.outfit for person in pictures.people}
    assert len(outfits) == 12
    assert not outfits & {draw_person(SETTINGS, pid).outfit for pid in range(1, 500)}
    assert pictures.pixels.shape == (36, 3, 48, 24)
    spread = np.ptp(pictures.pixels.astype(int), axis=1).max((1, 2))
    assert ((spread > 0) == (pictures.modalities == Modality.VISIBLE)).all()
    more = draw_pictures(SETTINGS, first=12, people=2, each=1, infrared=0)
    assert not outfits & {person.outfit for person in more.people}
    with pytest.raises(ValueError, match="people"):
        draw_pictures(SETTINGS, first=57_590, people=10, each=1, infrared=0)


def test_a_description_names_what_both_modalities_see_and_no_colour():
    one, other = (draw_person(SETTINGS, pid) for pid in (1, 2))
    assert describe(replace(one, palette=other.palette)) == describe(one)
    assert describe(replace(one, outfit=other.outfit)) != describe(one)


@pytest.mark.slow
def test_teaching_lets_descriptions_find_their_pictures():
    few = draw_pictures(SETTINGS, first=0, people=6, each=2, infrared=0)
    torch.manual_seed(0)
    clip = build_clip("xreid-demo", (48, 24))
    losses = teach(clip, few, Schedule(steps=100, batch=6, rate=0.001, warmup=5, black_and_white=0), seed=0)
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    found = find_by_description(clip, few)
    assert found.visible > 2 * found.chance


@pytest.mark.parametrize("model", ["xreid-tiny", "resnet18"])
def test_the_file_is_what_a_training_starts_from(model, load_tool, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "new" / "clip.pt"
    arguments = ["--output", str(file), "--model", model, *TINY]
    assert load_tool("pretrain_clip").main(arguments) == 0
    assert "by chance" in capsys.readouterr().out
    assert json.loads(Path(f"{file}.json").read_text())["zero_shot"]["chance"] == 25
    saved = torch.load(file, weights_only=True)
    if model == "resnet18":
        cfg = get_cfg()
        cfg.merge_from_file("configs/baselines/bot_r18.yml")
        cfg.MODEL.BACKBONE.PRETRAIN_PATH, cfg.MODEL.HEADS.NUM_CLASSES, cfg.MODEL.DEVICE = str(file), 3, "cpu"
        backbone = build_model(cfg).image_model.backbone
        assert_close(backbone.state_dict(), saved)
        return
    clip = build_clip(model, (48, 24))
    open_clip.load_checkpoint(clip, str(file))
    tower = build_image_tower(model, (48, 24))
    load_clip_weights(tower, file)
    pixels = torch.rand(2, 3, 48, 24)
    assert_close(tower.eval()(pixels), clip.eval().encode_image(pixels))
    first = file.read_bytes()
    assert load_tool("pretrain_clip").main(arguments) == 0
    assert_close(torch.load(file, weights_only=True)["state_dict"], saved["state_dict"], rtol=0, atol=0)
    assert len(file.read_bytes()) == len(first)
