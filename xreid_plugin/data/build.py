"""Configuration to loaders, through the host's own loader functions."""

import functools
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastreid.data import build_reid_test_loader, build_reid_train_loader
from fastreid.utils import comm

from xreid_plugin.data.clips import TestClips, TrainClips
from xreid_plugin.data.datasets.base import VideoCrossModalityDataset, tracklet_dataset
from xreid_plugin.data.frame_reader import FrameReader, LooseFrames
from xreid_plugin.data.pack import Pack, PackedFrames
from xreid_plugin.data.tracklet import Tracklet
from xreid_plugin.data.transforms import ClipAugmentation
from xreid_plugin.host import DeviceLoader
from xreid_plugin.registry import SAMPLER_REGISTRY

logger = logging.getLogger(__name__)


def build_dataset(cfg: Any, name: str) -> VideoCrossModalityDataset:
    """Reads the dataset ``name`` of the host's registry, as DATASETS.ROOT, MIN_TRACKLET_LENGTH, AUXILIARY and PACK say.

    Raises:
        FileNotFoundError: no such data; the message says what was looked for.
        ValueError: a dataset that does not consist of tracklets, malformed metadata, or a pack of other frames.
    """
    root = cfg.DATASETS.ROOT or os.getenv("FASTREID_DATASETS", "datasets")
    return _read_dataset(name, root, cfg.DATASETS.MIN_TRACKLET_LENGTH, cfg.DATASETS.AUXILIARY, cfg.DATASETS.PACK)


@functools.lru_cache(maxsize=4)
def _read_dataset(name: str, root: str, min_length: int, auxiliary: bool, pack: str) -> VideoCrossModalityDataset:
    """Cached, since training, the refresh of the prototypes and every evaluation ask for the same lists."""
    kind: Any = tracklet_dataset(name)
    if kind is None:
        raise ValueError(f"DATASETS names {name}, which has no tracklets; HITSZVCM and BUPTCampus have.")
    options: dict[str, Any] = {"auxiliary": True} if auxiliary else {}
    if pack:
        options["packed"] = packed = _open_pack(pack)
        if packed.info.dataset != name:
            raise ValueError(f"DATASETS.PACK is {pack}, which holds {packed.info.dataset}; DATASETS asks for {name}.")
    dataset: VideoCrossModalityDataset = kind(root=root, min_length=min_length, **options)
    if pack:
        packed.check_tracklets([*dataset.train, *dataset.test], dataset.home)
    return dataset


@functools.lru_cache(maxsize=4)
def _open_pack(file: str) -> Pack:
    """Once, for the loaders of training and of test."""
    return Pack(Path(file))


def build_training_set(cfg: Any) -> VideoCrossModalityDataset:
    """The dataset that DATASETS.NAMES trains on; one, since the identities of two have no common labels."""
    (name,) = cfg.DATASETS.NAMES
    return build_dataset(cfg, name)


def build_frame_reader(cfg: Any, size_key: str) -> FrameReader:
    """Where frames are read from: loose files, or the pack that DATASETS.PACK names.

    ``size_key``: the size that frames will be read at, "SIZE_TRAIN" or "SIZE_TEST" of INPUT. ValueError: the pack's
    frames are decoded at another size.
    """
    if not cfg.DATASETS.PACK:
        return LooseFrames()
    pack, (height, width) = _open_pack(cfg.DATASETS.PACK), cfg.INPUT[size_key]
    if pack.info.size not in (None, (height, width)):
        raise ValueError(
            f"DATASETS.PACK is {pack.file} ({pack.info}), and INPUT.{size_key} is {height}x{width}: set it to the "
            "pack's, or pack at that size (tools/pack_dataset.py --frames)."
        )
    return PackedFrames(pack, build_dataset(cfg, pack.info.dataset).home)


def build_train_loader(cfg: Any) -> DeviceLoader:
    """Endless training batches, chosen by DATALOADER.SAMPLER_TRAIN."""
    dataset = build_training_set(cfg)
    if comm.is_main_process():
        dataset.show_train()
    train_set = TrainClips(
        dataset.train,
        tuple(cfg.INPUT.SIZE_TRAIN),
        cfg.INPUT.CLIP.FRAMES,
        ClipAugmentation.from_config(cfg),
        reader=build_frame_reader(cfg, "SIZE_TRAIN"),
        substitute=cfg.INPUT.BAD_FRAMES == "substitute",
    )
    logger.info(f"Using training sampler {cfg.DATALOADER.SAMPLER_TRAIN}")
    sampler = SAMPLER_REGISTRY.get(cfg.DATALOADER.SAMPLER_TRAIN)(cfg, dataset.train)
    return build_reid_train_loader(cfg, train_set=train_set, sampler=sampler)


def build_clip_loader(
    cfg: Any, tracklets: Sequence[Tracklet], mode: str, batch_size: int | None = None
) -> DeviceLoader:
    """A loader of every clip of ``tracklets`` once, without random draws; each rank reads a part of them.

    ``mode``: "even" or "dense", as TEST.FRAMES. ``batch_size``: clips, over all ranks; None: TEST.IMS_PER_BATCH.
    """
    test_set = TestClips(
        tracklets,
        tuple(cfg.INPUT.SIZE_TEST),
        cfg.INPUT.CLIP.FRAMES,
        mode,
        reader=build_frame_reader(cfg, "SIZE_TEST"),
        substitute=cfg.INPUT.BAD_FRAMES == "substitute",
    )
    if batch_size is not None:
        # The host's function reads it from nowhere else.
        cfg = cfg.clone()
        cfg.defrost()
        cfg.TEST.IMS_PER_BATCH = batch_size
    loader, _ = build_reid_test_loader(cfg, test_set=test_set)
    return loader
