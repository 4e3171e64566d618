import json

import pytest
from torch import nn

from xreid_plugin.modeling.clip_config import SHIPPED_CONFIGS, build_image_tower, read_model_config, uses_quick_gelu


def write_config(folder, **vision):
    vision_cfg = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8, **vision}
    path = folder / "model.json"
    path.write_text(json.dumps({"embed_dim": 12, "vision_cfg": vision_cfg, "text_cfg": {}}))
    return str(path)


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED_CONFIGS.glob("*.json")))
def test_every_shipped_config_builds(name):
    patch = read_model_config(name)["vision_cfg"]["patch_size"]
    assert build_image_tower(name, (3 * patch, patch)).grid_size == (3, 1)


def test_tower_of_a_file_has_its_sizes(tmp_path):
    tower = build_image_tower(write_config(tmp_path, layers=2, mlp_ratio=3.0), (24, 16))
    assert tower.grid_size == (3, 2)
    assert tower.positional_embedding.shape == (1 + 3 * 2, 32)
    assert len(tower.transformer.resblocks) == 2
    assert tower.transformer.resblocks[0].attn.num_heads == 2
    assert tower.transformer.resblocks[0].mlp.c_fc.out_features == 96
    assert tower.proj.shape == (32, 12)


def test_settings_of_a_plain_tower_are_honoured(tmp_path):
    tower = build_image_tower(write_config(tmp_path, no_ln_pre=True, ls_init_value=0.25), (8, 8))
    assert isinstance(tower.ln_pre, nn.Identity)
    assert tower.transformer.resblocks[0].ls_1.gamma.unique().tolist() == [0.25]


def test_a_setting_at_its_default_is_no_reason_to_refuse(tmp_path):
    build_image_tower(write_config(tmp_path, pool_type="tok", attentional_pool=False), (8, 8))


def test_activation_goes_by_the_name():
    assert uses_quick_gelu(build_image_tower("ViT-S-32-alt", (32, 32))) is False
    assert uses_quick_gelu(build_image_tower("xreid-tiny", (8, 8))) is True


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("ViT-B-16-SigLIP", "timm_model_name"),
        ("RN50", "layers="),
        ("coca_ViT-B-32", "attentional_pool"),
        ("ViT-L-14-CLIPA", "pool_type='avg'"),
    ],
)
def test_other_kinds_of_tower_are_refused_by_name(model, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        build_image_tower(model, (224, 224))
    assert "MODEL.BACKBONE.CLIP_MODEL" in str(caught.value)
    assert "ViT-B-16-quickgelu" in str(caught.value)


def test_patch_dropout_would_break_the_grid_and_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"patch_dropout=0\.5"):
        build_image_tower(write_config(tmp_path, patch_dropout=0.5), (8, 8))


def test_misspelt_name_gets_the_near_ones():
    with pytest.raises(ValueError, match="ViT-B-16-quickgelu"):
        read_model_config("ViT-B-16-quikgelu")


def test_remote_names_are_unknown_rather_than_fetched():
    with pytest.raises(ValueError, match="knows no model"):
        read_model_config("hf-hub:somebody/something")


def test_misspelt_field_is_named(tmp_path):
    with pytest.raises(ValueError, match="patchsize"):
        build_image_tower(write_config(tmp_path, patchsize=8), (8, 8))


def test_file_that_is_no_config(tmp_path):
    path = tmp_path / "model.json"
    with pytest.raises(FileNotFoundError, match=r"CLIP_MODEL.*model\.json"):
        read_model_config(str(path))
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        read_model_config(str(path))
    path.write_text('{"embed_dim": 4}')
    with pytest.raises(ValueError, match="vision_cfg"):
        read_model_config(str(path))


@pytest.mark.parametrize(
    ("size", "nearest"),
    [((90, 48), r"\[88, 48\]"), ((96, 45), r"\[96, 48\]"), ((3, 8), r"\[8, 8\]"), ((0, 8), r"\[8, 8\]")],
)
def test_untiled_size_names_the_nearest_that_works(size, nearest):
    with pytest.raises(ValueError, match=rf"INPUT\.SIZE_TRAIN.*8x8 patches.*{nearest}"):
        build_image_tower("xreid-tiny", size)
