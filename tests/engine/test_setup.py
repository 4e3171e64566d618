import argparse

import pytest
import torch

from tests.data.small_set import TRAIN_IDENTITIES, small_config
from xreid_plugin.checks import check_config
from xreid_plugin.engine.checkpoint import read_checkpoint
from xreid_plugin.engine.evaluation_sets import show_test_sets
from xreid_plugin.engine.setup import adopt_checkpoint_facts, checkpoint_to_evaluate, complete_config, read_config
from xreid_plugin.registry import SAMPLER_REGISTRY


def test_completing_counts_identities_and_cameras(small_set, tmp_path):
    cfg = small_config(small_set, tmp_path)
    complete_config(cfg)
    assert cfg.MODEL.HEADS.NUM_CLASSES == TRAIN_IDENTITIES
    assert cfg.MODEL.BACKBONE.CAMERAS == sorted(cfg.MODEL.BACKBONE.CAMERAS) != []


def test_completing_keeps_what_is_given_and_reads_no_data(tmp_path):
    cfg = small_config(tmp_path / "nowhere", tmp_path)
    cfg.MODEL.HEADS.NUM_CLASSES = 7
    cfg.MODEL.BACKBONE.CAMERAS = [5]
    complete_config(cfg)
    assert (cfg.MODEL.HEADS.NUM_CLASSES, cfg.MODEL.BACKBONE.CAMERAS) == (7, [5])


def test_no_camera_embedding_wants_no_cameras(small_set, tmp_path):
    cfg = small_config(small_set, tmp_path, "MODEL.BACKBONE.CAMERA_EMBEDDING", "False")
    complete_config(cfg)
    assert cfg.MODEL.BACKBONE.CAMERAS == []


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["INPUT.SIZE_TEST", "[96, 48]"], "INPUT.SIZE_TEST"),
        (["SOLVER.AMP.DTYPE", "float64"], "SOLVER.AMP.DTYPE"),
        (["TEST.SAME_CAMERA", "drop"], "TEST.SAME_CAMERA"),
        (["TEST.FRAMES", "evn"], "TEST.FRAMES"),
        (["DATALOADER.SAMPLER_TRAIN", "RandomTrackletSampler"], "DATALOADER.SAMPLER_TRAIN"),
        (["SOLVER.CHECKPOINT_PERIOD", "0"], "SOLVER.CHECKPOINT_PERIOD"),
        (["MODEL.CPC.TEMPERATURE", "0.0"], "MODEL.CPC.TEMPERATURE"),
        (["MODEL.CPC.REFRESH_EPOCHS", "-1"], "MODEL.CPC.REFRESH_EPOCHS"),
        (["MODEL.MII.LII.STRIDE", "-1"], "MODEL.MII.LII.STRIDE"),
    ],
)
def test_contradictions_are_found_before_data_is_read(tmp_path, overrides, key):
    with pytest.raises(ValueError, match=key):
        check_config(small_config(tmp_path / "nowhere", tmp_path, *overrides))


def arguments(*pairs, config_file="projects/XReID/configs/synthetic.yml"):
    return argparse.Namespace(config_file=config_file, opts=list(pairs))


def test_files_and_command_lines_name_what_is_wrong(tmp_path):
    (tmp_path / "run.yml").write_text("SED: 3\n")
    with pytest.raises(ValueError, match=r"run\.yml: SED "):
        read_config(arguments(config_file=str(tmp_path / "run.yml")))
    with pytest.raises(ValueError, match=r"DATALOADER\.NUM_INSTANCE\b"):
        read_config(arguments("DATALOADER.NUM_INSTANCES", "3"))


def test_the_last_checkpoint_is_evaluated_where_none_is_named(tmp_path):
    cfg = small_config(tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"MODEL\.WEIGHTS"):
        checkpoint_to_evaluate(cfg)
    (tmp_path / "model_0003.pth").touch()
    (tmp_path / "last_checkpoint").write_text("model_0003.pth")
    assert checkpoint_to_evaluate(cfg) == tmp_path / "model_0003.pth"
    cfg.MODEL.WEIGHTS = str(tmp_path / "other.pth")
    with pytest.raises(FileNotFoundError, match="other"):
        checkpoint_to_evaluate(cfg)


def test_a_checkpoint_brings_its_identities_and_cameras(tmp_path):
    trained = small_config(tmp_path, tmp_path)
    trained.MODEL.HEADS.NUM_CLASSES = 42
    trained.MODEL.BACKBONE.CAMERAS = [2, 11]
    torch.save({"model": {}, "config": trained.dump()}, tmp_path / "model.pth")
    cfg = small_config(tmp_path, tmp_path)
    adopt_checkpoint_facts(cfg, read_checkpoint(tmp_path / "model.pth"))
    assert (cfg.MODEL.HEADS.NUM_CLASSES, cfg.MODEL.BACKBONE.CAMERAS) == (42, [2, 11])


def test_a_checkpoint_without_a_configuration_leaves_that_to_the_data(tmp_path):
    torch.save({"model": {}}, tmp_path / "model.pth")
    cfg = small_config(tmp_path, tmp_path)
    adopt_checkpoint_facts(cfg, read_checkpoint(tmp_path / "model.pth"))
    assert cfg.MODEL.HEADS.NUM_CLASSES == 0


def test_a_sampler_registered_later_is_known(tmp_path, monkeypatch):
    monkeypatch.setitem(SAMPLER_REGISTRY._obj_map, "LaterSampler", type("LaterSampler", (), {"pairs": True}))
    check_config(small_config(tmp_path, tmp_path, "DATALOADER.SAMPLER_TRAIN", "LaterSampler"))


def test_an_unseen_test_camera_is_found_before_training(small_set, tmp_path):
    cfg = small_config(small_set, tmp_path)
    cfg.MODEL.BACKBONE.CAMERAS = [99]
    with pytest.raises(ValueError, match=r"MODEL\.BACKBONE\.UNSEEN_CAMERA none"):
        show_test_sets(cfg)
    cfg.MODEL.BACKBONE.UNSEEN_CAMERA = "none"
    show_test_sets(cfg)


def test_a_model_without_a_camera_embedding_knows_any_test_camera(small_set, tmp_path):
    cfg = small_config(small_set, tmp_path)
    cfg.MODEL.BACKBONE.CAMERAS = [99]
    cfg.MODEL.BACKBONE.NAME = "build_resnet_backbone"
    show_test_sets(cfg)
    cfg.MODEL.BACKBONE.CAMERAS = []
    complete_config(cfg)
    assert cfg.MODEL.BACKBONE.CAMERAS == []
