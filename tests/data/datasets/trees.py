"""Writes tiny copies of both datasets, in their published form, for tests of what reads them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

INFRARED, VISIBLE = 1, 2


def write_jpeg(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size=(16, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


class VcmTree:
    """A HITSZ-VCM copy in the making; ``track`` adds a tracklet to a split's two lists, ``write`` puts it on disk."""

    def __init__(self, home):
        self.home = Path(home)
        self.info = self.home / "info"
        self.names = {"train": [], "test": []}
        self.tracks = {"train": [], "test": []}
        self.query = "1"

    def track(self, split, modality, pid, camera, length=12):
        names = self.names[split]
        first = len(names) + 1
        number = len(self.tracks[split]) + 1
        for _ in range(length):
            names.append(f"{pid:04d}M{modality}D{camera}T{number}F{len(names) + 1}.jpg")
        self.tracks[split].append(f"{modality} {first} {len(names)} {pid} {camera}")

    def write(self, folders=("Train", "Test")):
        self.info.mkdir(parents=True, exist_ok=True)
        for split, folder in zip(("train", "test"), folders, strict=True):
            (self.info / f"{split}_name.txt").write_text("\n".join(self.names[split]) + "\n")
            (self.info / f"track_{split}_info.txt").write_text("\n".join(self.tracks[split]) + "\n")
            for seed, name in enumerate(self.names[split]):
                write_jpeg(self.frame(folder, name), seed)
        (self.info / "query_IDX.txt").write_text(self.query)
        return self.home

    def frame(self, folder, name):
        pid, rest = name.split("M")
        modality, rest = rest.split("D")
        camera, rest = rest.split("T")
        return self.home / folder / pid / {"1": "ir", "2": "rgb"}[modality] / f"D{camera}" / rest.split("F")[1]


def small_vcm(home):
    """Two training identities and two test ones, each seen in both modalities by different cameras; two queries."""
    tree = VcmTree(home)
    for pid, camera in ((7, 3), (2, 11)):
        tree.track("train", VISIBLE, pid, camera)
        tree.track("train", INFRARED, pid, camera)
    tree.track("test", INFRARED, 503, 1)
    tree.track("test", VISIBLE, 503, 2)
    tree.track("test", INFRARED, 504, 12)
    tree.track("test", VISIBLE, 504, 1)
    tree.query = "1 3"
    return tree


class BuptTree:
    """A BUPTCampus copy in the making; ``track`` files a tracklet, ``lines`` holds the lists."""

    def __init__(self, home):
        self.home = Path(home)
        self.paths = {}
        self.lines = {"train": [], "train_auxiliary": [], "query": [], "gallery": []}

    def track(self, pid, modality, camera, number=1, length=2):
        frames = [
            f"{pid}/{modality}/{camera}/{pid}_{modality}_{camera}_{number}_{8000 + frame}.jpg"
            for frame in range(length)
        ]
        cameras = self.paths.setdefault(str(pid), {}).setdefault(modality, {})
        cameras.setdefault(camera, {})[str(number)] = frames
        return frames

    def list(self, name, pid, modality, camera, number=1, length=2):
        for single in modality.split("/"):
            self.track(pid, single, camera, number, length)
        self.lines[name].append(f"{pid} {modality} {camera} {number}")

    def write(self):
        (self.home / "DATA").mkdir(parents=True, exist_ok=True)
        (self.home / "data_paths.json").write_text(json.dumps(self.paths))
        for name, lines in self.lines.items():
            (self.home / f"{name}.txt").write_text("\n".join(lines) + "\n")
        for modalities in self.paths.values():
            for cameras in modalities.values():
                for tracklets in cameras.values():
                    for frame in (frame for frames in tracklets.values() for frame in frames):
                        write_jpeg(self.home / "DATA" / frame)
        return self.home


def small_bupt(home):
    """Two training identities, one auxiliary, two test identities with one query in each modality."""
    tree = BuptTree(home)
    tree.list("train", 10, "RGB/IR", "TSG2")
    tree.list("train", 9, "RGB/IR", "LS3")
    tree.list("train_auxiliary", 4, "RGB/IR", "TSG1")
    tree.list("query", 20, "IR", "W4")
    tree.list("query", 21, "RGB", "G25")
    for pid in (20, 21):
        tree.list("gallery", pid, "IR", "CQ1")
        tree.list("gallery", pid, "RGB", "CQ1")
    return tree
