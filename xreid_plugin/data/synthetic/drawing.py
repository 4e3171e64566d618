"""Draws planned tracklets into image files, on one or several processes."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.person import draw_person
from xreid_plugin.data.synthetic.plan import TrackletPlan
from xreid_plugin.data.synthetic.render import render_tracklet
from xreid_plugin.data.synthetic.settings import SyntheticError, SyntheticSettings
from xreid_plugin.progress import ProgressBar


@dataclass(frozen=True)
class Drawing:
    """A tracklet and the file of each of its frames."""

    plan: TrackletPlan
    files: tuple[Path, ...]


class SetSize(NamedTuple):
    """How much has been drawn."""

    identities: int
    tracklets: int
    frames: int

    def __str__(self) -> str:
        return f"{self.identities:,} identities, {self.tracklets:,} tracklets, {self.frames:,} frames"


def draw_all(settings: SyntheticSettings, drawings: Sequence[Drawing], workers: int) -> SetSize:
    """Writes the frames of all tracklets; the files do not depend on the number of workers.

    Args:
        settings: the set's settings.
        drawings: what goes where; folders are made.
        workers: number of processes; 1 draws in this one.

    Returns:
        What was drawn.

    Raises:
        SyntheticError: ``workers`` is below 1.
        OSError: a file cannot be written.
    """
    if workers < 1:
        raise SyntheticError(f"workers must be at least 1, not {workers}")
    for folder in sorted({file.parent for drawing in drawings for file in drawing.files}):
        folder.mkdir(parents=True, exist_ok=True)
    people = {drawing.plan.pid for drawing in drawings}
    size = SetSize(len(people), len(drawings), sum(len(drawing.files) for drawing in drawings))
    what = f"Drawing {size.identities:,} people"
    with _mapping(workers) as mapping, ProgressBar(what, size.frames, "frame") as bar:
        for written in mapping(partial(_draw, settings), drawings):
            bar.update(written)
    return size


@contextmanager
def _mapping(workers: int) -> Iterator:
    if workers == 1:
        yield map
        return
    # Forking a process that runs threads, as torch's and OpenCV's, can leave the child waiting forever.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))
    try:
        yield partial(_map_unharmed, pool)
    except BaseException:
        # Ctrl-C does not wait for what they draw.
        for worker in active_children():
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _map_unharmed(pool: ProcessPoolExecutor, *arguments: Any) -> Iterator:
    """``pool.map``, which starts the workers; Ctrl-C reaches this process alone, which ends them."""
    # At a terminal it goes to all processes, and each worker would print a traceback. They inherit what is blocked.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.map(*arguments, chunksize=8)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _draw(settings: SyntheticSettings, drawing: Drawing) -> int:
    person = draw_person(settings, drawing.plan.pid)
    frames = render_tracklet(settings, person, drawing.plan)
    for file, frame in zip(drawing.files, frames, strict=True):
        file.write_bytes(encode_jpeg(frame, settings.quality))
    return len(drawing.files)


def encode_jpeg(frame: NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG file's bytes.

    An infrared frame, (H, W, 1), becomes a grey file of one channel, which is what its sensor gives; a loader that
    forgets to turn it into three meets its error here and not on a user's own data.
    """
    done, encoded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OSError(f"a frame of shape {frame.shape} could not be encoded")
    return encoded.tobytes()
