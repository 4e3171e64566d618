import json

import pytest
from torch import nn

from xreid_plugin.modeling.clip_config import SHIPPED_CONFIGS, build_image_tower, read_model_config


def write_config(folder, **vision):
    vision_cfg = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8, **vision}
    path = folder / "model.json"
    path.write_text(json.dumps({"embed_dim": 12, "vision_cfg": vision_cfg, "text_cfg": {}}))
    return str(path)


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED_CONFIGS.glob("*.json")))
def test_every_shipped_config_builds(name):
    patch = read_model_config(name)["vision_cfg"]["patch_size"]
    assert build_image_tower(name, (3 * patch, patch)).grid_size == (3, 1)


def test_tower_of_a_file_has_its_sizes_and_settings(tmp_path):
    settings = {"layers": 2, "mlp_ratio": 3.0, "no_ln_pre": True, "ls_init_value": 0.25}
    # A setting at its default is no reason to refuse.
    tower = build_image_tower(write_config(tmp_path, **settings, pool_type="tok", attentional_pool=False), (24, 16))
    assert tower.grid_size == (3, 2)
    assert tower.positional_embedding.shape == (1 + 3 * 2, 32)
    assert len(tower.transformer.resblocks) == 2
    block = tower.transformer.resblocks[0]
    assert (block.attn.num_heads, block.mlp.c_fc.out_features) == (2, 96)
    assert block.ls_1.gamma.unique().tolist() == [0.25]
    assert isinstance(tower.ln_pre, nn.Identity)
    assert tower.proj.shape == (32, 12)


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
    with pytest.raises(ValueError, match=rf"MODEL\.BACKBONE\.CLIP_MODEL.*{reason}"):
        build_image_tower(model, (224, 224))


def test_misspelt_name_gets_the_near_ones_and_a_remote_one_is_not_fetched():
    with pytest.raises(ValueError, match="ViT-B-16-quickgelu"):
        read_model_config("ViT-B-16-quikgelu")
    with pytest.raises(ValueError, match="hf-hub:somebody/something"):
        read_model_config("hf-hub:somebody/something")
