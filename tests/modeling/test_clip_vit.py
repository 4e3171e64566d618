import copy
import logging

import pytest
import torch
from fastreid.modeling.backbones.build import build_backbone
from torch.testing import assert_close

from xreid_plugin.config import get_cfg
from xreid_plugin.modeling.clip_vit import CLIPVisionTower

CAMERAS = [9, 2, 5, 2]


def make_tower(**changes):
    torch.manual_seed(0)
    arguments = {"model": "xreid-tiny", "image_size": (32, 16), "cameras": CAMERAS}
    return CLIPVisionTower(**(arguments | changes))


def frames(count, size=(32, 16)):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(32, 32), (32, 16), (16, 40)])
def test_without_camera_it_is_the_forward_of_open_clip(size):
    tower = make_tower(image_size=size).eval()
    images = frames(3, size)
    with torch.no_grad():
        ours = tower(images)
        tower.visual.output_tokens = True
        projected, patches = tower.visual(images)
    assert_close(ours.projected, projected)
    assert_close(ours.tokens[:, 1:], patches)


def test_camera_embedding_shifts_the_class_embedding_and_nothing_else():
    tower = make_tower(sie_coe=1.5).eval()
    images = frames(4)
    camids = torch.tensor([5, 9, 2, 5])
    row_of = {2: 0, 5: 1, 9: 2}
    with torch.no_grad():
        together = tower(images, camids)
        for frame, camera in enumerate(camids.tolist()):
            shifted = copy.deepcopy(tower)
            shifted.visual.class_embedding += 1.5 * tower.camera_embedding[row_of[camera]]
            alone = shifted(images[frame : frame + 1])
            assert_close(together.tokens[frame], alone.tokens[0])
            assert_close(together.projected[frame], alone.projected[0])
    assert not torch.allclose(together.tokens[0], tower(images).tokens[0], atol=1e-4)


@pytest.mark.parametrize("unseen", [0, 4, 77])
def test_frames_of_an_unseen_camera_have_no_embedding_of_one(unseen):
    tower = make_tower().eval()
    images = frames(2)
    with torch.no_grad():
        mixed = tower(images, torch.tensor([5, unseen])).tokens
        assert_close(mixed[0], tower(images, torch.tensor([5, 5])).tokens[0])
        assert_close(mixed[1], tower(images).tokens[1])


def test_weights_of_other_cameras_leave_the_embedding_as_it_is(caplog):
    trained, tower = make_tower(cameras=[3, 5, 8]), make_tower(cameras=[1, 5, 53])
    fresh = tower.camera_embedding.detach().clone() + 1
    tower.camera_embedding.data.copy_(fresh)
    tower.load_state_dict(trained.state_dict())
    assert tower.camera_numbers.tolist() == [1, 5, 53]
    assert torch.equal(tower.camera_embedding.detach(), fresh)
    assert torch.equal(tower.visual.proj, trained.visual.proj)
    assert "[1, 5, 53]" in caplog.text


def make_cfg(**backbone):
    cfg = get_cfg()
    cfg.INPUT.SIZE_TRAIN = [32, 16]
    cfg.MODEL.BACKBONE.NAME = "build_clip_vision_backbone"
    cfg.MODEL.BACKBONE.CLIP_MODEL = "xreid-tiny"
    cfg.MODEL.BACKBONE.PRETRAIN = False
    for key, value in backbone.items():
        setattr(cfg.MODEL.BACKBONE, key, value)
    return cfg


def test_host_builds_it_from_a_config():
    tower = build_backbone(make_cfg(CAMERAS=[4, 3], SIE_COE=2.5, FREEZE_PATCH=False))
    assert isinstance(tower, CLIPVisionTower)
    assert tower.grid == (4, 2)
    assert tower.camera_numbers.tolist() == [3, 4]
    assert tower.sie_coe == 2.5
    assert tower.visual.conv1.weight.requires_grad
    assert build_backbone(make_cfg(CAMERAS=[4, 3], CAMERA_EMBEDDING=False)).num_cameras == 0


def test_host_builds_it_with_weights_of_a_file(tmp_path, caplog):
    trained = make_tower(image_size=(32, 32))
    torch.save(trained.visual.state_dict(), tmp_path / "tower.pt")
    with caplog.at_level(logging.INFO):
        tower = build_backbone(make_cfg(PRETRAIN=True, PRETRAIN_PATH=str(tmp_path / "tower.pt"), CAMERAS=[1]))
    assert_close(tower.visual.transformer.state_dict(), trained.visual.transformer.state_dict())
    assert "positional_embedding 4x4 to 4x2" in caplog.text


def gradients(tower, patches):
    """What the tower gives, in float64, and the parameters' gradients from the class token and its projection."""
    tower = copy.deepcopy(tower).double()
    found = tower(frames(3).double(), torch.tensor([2, 5, 9]), patches)
    (found.class_tokens.sin().sum() + found.projected.square().sum()).backward()
    return found, {name: parameter.grad for name, parameter in tower.named_parameters()}


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("patches", ["learning", "detached", "left out"])
def test_what_the_patches_are_for_and_checkpointing_change_no_value_and_no_gradient(patches, checkpointed):
    tower = make_tower()
    for parameter in tower.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    whole, expected = gradients(tower, "learning")
    tower.visual.set_grad_checkpointing(checkpointed)
    found, actual = gradients(tower, patches)
    close = {"rtol": 1e-10, "atol": 1e-12}
    assert found.tokens.requires_grad == (patches == "learning")
    assert_close(found.tokens, whole.tokens[:, :1] if patches == "left out" else whole.tokens, **close)
    assert_close((found.class_tokens, found.projected), (whole.class_tokens, whole.projected), **close)
    assert_close(actual, expected, **close)
