"""Options that more than one tool has; like all that --help needs, without an import of the package."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xreid_plugin.data.datasets.base import VideoCrossModalityDataset

DATASETS = ("BUPTCampus", "HITSZVCM")


def add_dataset(add: Any) -> None:
    """``--dataset`` and ``--root``.

    Args:
        add: the ``add_argument`` of a parser or of a group of one.
    """
    add("--dataset", required=True, choices=DATASETS, help="whose layout the files have")
    add(
        "--root",
        default=os.getenv("FASTREID_DATASETS", "datasets"),
        metavar="DIR",
        help="the dataset's folder, or the one that holds it (default: FASTREID_DATASETS, else 'datasets')",
    )


def add_workers(add: Any) -> None:
    """``--workers``, threads."""
    add("--workers", type=natural, default=0, metavar="N", help="threads that decode (default: one for each core)")


def add_features(add: Any) -> None:
    """``FEATURES.npz``, as an evaluation saves them."""
    add("features", type=Path, metavar="FEATURES.npz", help="as TEST.SAVE_FEATURES saves them")


def add_seed(add: Any) -> None:
    """``--seed`` of pictures."""
    add("--seed", type=int, default=0, metavar="N", help="of all that is drawn by lot (default: %(default)s)")


def natural(text: str) -> int:
    """0 or more."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def positive(text: str) -> int:
    """1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


# What argparse calls them where the text is no number.
natural.__name__ = positive.__name__ = "int"


def dataset_class(name: str) -> "Callable[..., VideoCrossModalityDataset]":
    """The class of a dataset of :data:`DATASETS`."""
    from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
    from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM

    found: dict[str, Callable[..., VideoCrossModalityDataset]] = {"BUPTCampus": BUPTCampus, "HITSZVCM": HITSZVCM}
    return found[name]
