import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from fastreid.data import build_reid_train_loader
from PIL import Image

# As a module: pytest would take the class TestClips for tests.
from xreid_plugin.config import get_cfg
from xreid_plugin.data import clips
from xreid_plugin.data.clips import TrainClips
from xreid_plugin.data.samplers import CrossModalityIdentitySampler
from xreid_plugin.data.tracklet import CAMIDS, FAULTS, IMAGES, INDICES, LENGTHS, MODALITIES, TARGETS, Modality, Tracklet
from xreid_plugin.data.transforms import ClipAugmentation

SIZE = (8, 4)
COUNTS = [7, 1, 12, 4]


@pytest.fixture
def tracklets(tmp_path):
    """Two identities in both modalities; every frame is of one grey, by which it can be told from all others."""
    made = []
    grey = itertools.count()
    for number, length in enumerate(COUNTS):
        paths = []
        for _ in range(length):
            value = next(grey)
            path = tmp_path / f"{value}.png"
            Image.fromarray(np.full((*SIZE, 3), value, dtype=np.uint8)).save(path)
            paths.append(str(path))
        made.append(Tracklet(paths, number // 2, 3 + number, Modality(number % 2), f"T{number}"))
    return made


def frames_shown(item):
    """The grey of each frame of an item, which is uniform."""
    images = item[IMAGES].flatten(1)
    assert torch.equal(images, images[:, :1].expand_as(images))
    return images[:, 0].tolist()


def first_grey(number):
    return sum(COUNTS[:number])


# Of no account here: a machine of one core, and a Python that would rather not fork.
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_batches_and_faults_do_not_depend_on_the_number_of_workers(tracklets):
    cfg = get_cfg()
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCE = 8, 2

    def first_batches(workers):
        cfg.DATALOADER.NUM_WORKERS = workers
        augmentation = ClipAugmentation(flip=0.5, padding=2, erase=0.5)
        dataset = TrainClips(tracklets, SIZE, 3, augmentation, substitute=True)
        sampler = CrossModalityIdentitySampler(cfg, tracklets)
        loader = build_reid_train_loader(cfg, train_set=dataset, sampler=sampler)
        return list(itertools.islice(loader, 3))

    bad = tracklets[2].paths[5]
    Path(bad).unlink()
    alone, shared = first_batches(0), first_batches(2)
    assert any(bad in clip.frames for batch in alone for clip in batch[FAULTS])
    for batch, other in zip(alone, shared, strict=True):
        assert batch[IMAGES].shape == (8, 3, 3, *SIZE)
        assert {batch[key].dtype for key in (TARGETS, CAMIDS, MODALITIES, INDICES)} == {torch.int64}
        assert batch.keys() == other.keys()
        assert batch[FAULTS] == other[FAULTS]
        assert all(torch.equal(batch[key], other[key]) for key in batch if key != FAULTS)


def test_dense_clips_cover_every_frame_in_order_and_the_last_cycles(tracklets):
    dataset = clips.TestClips(tracklets, SIZE, 5, "dense")
    items = [dataset[number] for number in range(len(dataset))]
    # 7, 1, 12 and 4 frames in clips of 5.
    assert [item[INDICES] for item in items] == [0, 0, 1, 2, 2, 2, 3]
    for item in items:
        clip, length = item[IMAGES], item[LENGTHS]
        assert (clip[length - 1 :] == clip[length - 1]).all()
        assert length == 1 or (clip[length - 2] != clip[length - 1]).any()
    for number, length in enumerate(COUNTS):
        shown = [grey for item in items if item[INDICES] == number for grey in frames_shown(item)]
        every = list(range(first_grey(number), first_grey(number) + length))
        assert shown[:length] == every
        assert shown[length:] == (every[(length - 1) // 5 * 5 :] * 5)[length % 5 or 5 : 5]
