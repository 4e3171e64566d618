"""Files that would run code if they were loaded without care: each would make a file, its mark."""

from pathlib import Path

import torch

from xreid_plugin.engine.setup import get_cfg


class Hostile:
    """Whoever unpickles this without care makes a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def write_hostile_checkpoint(path, mark):
    """A checkpoint of the host in every way but one."""
    content = {"model": {"weight": torch.ones(1)}, "config": get_cfg().dump(), "epoch": 0, "extra": Hostile(mark)}
    torch.save(content, path)
    return path


def hostile_yaml(mark):
    """A configuration that makes a folder, its mark, where tags may name functions."""
    return f"SEED: !!python/object/apply:os.mkdir ['{mark}']\n"
