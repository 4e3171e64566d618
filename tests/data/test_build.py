import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.datasets.trees import small_bupt, small_vcm
from xreid_plugin.config import get_cfg
from xreid_plugin.data.build import build_clip_loader, build_dataset, build_train_loader, build_training_set
from xreid_plugin.data.pack import pack_tracklets
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, INDICES, MODALITIES, TARGETS


@pytest.fixture
def cfg(tmp_path):
    """Two training identities of one tracklet in each modality, twelve frames each."""
    small_vcm(tmp_path / "HITSZ-VCM").write()
    cfg = get_cfg()
    cfg.DATASETS.NAMES = cfg.DATASETS.TESTS = ("HITSZVCM",)
    cfg.DATASETS.ROOT = str(tmp_path)
    cfg.DATALOADER.SAMPLER_TRAIN = "CrossModalityIdentitySampler"
    cfg.DATALOADER.NUM_INSTANCE = 2
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH = 8
    cfg.TEST.IMS_PER_BATCH = 3
    cfg.INPUT.CLIP.FRAMES = 5
    cfg.INPUT.SIZE_TRAIN, cfg.INPUT.SIZE_TEST = [16, 8], [12, 6]
    return cfg


def test_training_batches_are_endless_and_in_two_blocks(cfg):
    dataset = build_training_set(cfg)
    assert dataset is build_dataset(cfg, "HITSZVCM"), "lists are read once"
    for batch in itertools.islice(build_train_loader(cfg), 3):
        assert (batch[IMAGES].shape, batch[IMAGES].dtype) == ((8, 5, 3, 16, 8), torch.uint8)
        assert batch[MODALITIES].tolist() == [0] * 4 + [1] * 4
        targets = batch[TARGETS].tolist()
        assert targets[:4] == targets[4:]
        assert set(targets) == {0, 1}
        # Identity 2 has label 0 and camera 11, identity 7 has label 1 and camera 3.
        assert batch[CAMIDS].tolist() == [(11, 3)[label] for label in targets]
        assert [dataset.train[i].pid for i in batch[INDICES].tolist()] == targets


def test_the_sampler_is_that_of_the_configuration(cfg):
    cfg.DATALOADER.SAMPLER_TRAIN = "RandomTrackletSampler"
    cfg.SOLVER.IMS_PER_BATCH = 4
    batch = next(iter(build_train_loader(cfg)))
    assert sorted(batch[INDICES].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(("mode", "clips"), [("even", [0, 1, 2, 3]), ("dense", [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])])
def test_clip_loaders_give_every_clip_once_in_order(cfg, mode, clips):
    dataset = build_dataset(cfg, "HITSZVCM")
    for size, loader in (
        (3, build_clip_loader(cfg, dataset.test, mode)),
        (2, build_clip_loader(cfg, dataset.test, mode, 2)),
    ):
        batches = list(loader)
        assert [index for batch in batches for index in batch[INDICES].tolist()] == clips
        assert [len(batch[IMAGES]) for batch in batches[:-1]] == [size] * (len(batches) - 1)
        assert batches[0][IMAGES].shape == (size, 5, 3, 12, 6)
        assert set(np.concatenate([batch[TARGETS].numpy(force=True) for batch in batches])) == {503, 504}
    assert cfg.TEST.IMS_PER_BATCH == 3


def test_options_reach_the_dataset(cfg, tmp_path):
    cfg.DATASETS.MIN_TRACKLET_LENGTH = 13
    with pytest.raises(ValueError, match="MIN_TRACKLET_LENGTH"):
        build_training_set(cfg)
    small_bupt(tmp_path / "BUPTCampus").write()
    cfg.DATASETS.MIN_TRACKLET_LENGTH = 0
    cfg.DATASETS.NAMES = ("BUPTCampus",)
    cfg.DATASETS.AUXILIARY = True
    assert build_training_set(cfg).train_identities == (4, 9, 10)


def test_a_dataset_of_images_is_refused(cfg):
    with pytest.raises(ValueError, match="DATASETS"):
        build_dataset(cfg, "Market1501")


# Of no account here: a Python that would rather not fork.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("size", [None, (16, 8)], ids=["files", "frames"])
def test_batches_of_a_pack_that_has_moved_are_those_of_the_files(cfg, tmp_path, size):
    def batches():
        tests = build_clip_loader(cfg, build_dataset(cfg, "HITSZVCM").test, "dense")
        return [*itertools.islice(build_train_loader(cfg), 3), *tests]

    cfg.INPUT.SIZE_TEST = [16, 8]
    dataset, file, loose = build_training_set(cfg), tmp_path / "set.pack", batches()
    pack_tracklets([*dataset.train, *dataset.test], dataset.home, "HITSZVCM", file, size=size)
    shutil.copytree(dataset.home / "info", tmp_path / "moved/info")
    cfg.DATASETS.ROOT, cfg.DATASETS.PACK, cfg.DATALOADER.NUM_WORKERS = str(tmp_path / "moved"), str(file), 1
    for one, other in zip(loose, batches(), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one if isinstance(one[name], torch.Tensor))


def test_a_pack_that_does_not_fit_the_configuration_is_refused(cfg, tmp_path):
    dataset = build_training_set(cfg)
    cfg.DATASETS.PACK = str(tmp_path / "set.pack")
    with pytest.raises(FileNotFoundError, match=r"set\.pack"):
        build_train_loader(cfg)
    pack_tracklets([*dataset.train, *dataset.test], dataset.home, "HITSZVCM", Path(cfg.DATASETS.PACK), size=(16, 8))
    build_train_loader(cfg)
    with pytest.raises(ValueError, match=r"INPUT\.SIZE_TEST"):
        build_clip_loader(cfg, dataset.test, "even")
    whole, cfg.DATASETS.PACK = cfg.DATASETS.PACK, str(tmp_path / "part.pack")
    pack_tracklets([*dataset.train, *dataset.test[1:]], dataset.home, "HITSZVCM", Path(cfg.DATASETS.PACK))
    with pytest.raises(ValueError, match=r"part\.pack"):
        build_train_loader(cfg)
    cfg.DATASETS.PACK = whole
    cfg.DATASETS.NAMES = ("BUPTCampus",)
    with pytest.raises(ValueError, match=r"DATASETS\.PACK"):
        build_training_set(cfg)
