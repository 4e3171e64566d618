"""Options that more than one tool has; like all that --help needs, without an import of the package."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _command import UsageError

if TYPE_CHECKING:
    from xreid_plugin.data.datasets.base import VideoCrossModalityDataset

DATASETS = ("BUPTCampus", "HITSZVCM")
# Of a list of tracklets, frames or else a video with tracks in each line.
LIST_COLUMNS = ("frames", "tracks", "identity", "camera", "modality", "time", "model_camera")


def add_dataset(add: Any) -> None:
    """``--dataset`` and ``--root``.

    Args:
        add: the ``add_argument`` of a parser or of a group of one.
    """
    names = f"{{{','.join(DATASETS)}}}"
    add("--dataset", required=True, metavar=names, help="layout of the files, or a dataset that --import registers")
    add(
        "--root",
        default=os.getenv("FASTREID_DATASETS", "datasets"),
        metavar="DIR",
        help="the dataset's folder, or the one that holds it (default: FASTREID_DATASETS, else 'datasets')",
    )


def add_imports(add: Any) -> None:
    """``--import``, which :func:`_command.run_tool` handles before the work."""
    add(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE|FILE.py",
        help="import a module of your own first, which registers datasets, losses, models ...; may be repeated",
    )


def add_workers(add: Any) -> None:
    """``--workers``, threads."""
    add("--workers", type=natural, default=0, metavar="N", help="threads that decode (default: one per core)")


def add_features(add: Any) -> None:
    """``FEATURES.npz``, as an evaluation saves them."""
    add("features", type=Path, metavar="FEATURES.npz", help="features saved by TEST.SAVE_FEATURES")


def add_seed(add: Any) -> None:
    """``--seed`` of pictures."""
    add("--seed", type=int, default=0, metavar="N", help="seed of all random choices (default: %(default)s)")


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


def dataset_class(args: argparse.Namespace) -> "Callable[..., VideoCrossModalityDataset]":
    """The class of ``--dataset``: of :data:`DATASETS`, or one that a module of ``--import`` has registered.

    Raises:
        UsageError: there is none of that name.
    """
    from xreid_plugin.data.datasets.base import tracklet_dataset

    found = tracklet_dataset(args.dataset)
    if found is None:
        # As argparse, whose choices are fixed before anything is imported.
        known = ", ".join(map(repr, DATASETS))
        raise UsageError(f"argument --dataset: invalid choice: {args.dataset!r} (choose from {known})")
    return found
