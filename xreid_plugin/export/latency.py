"""How long a batch takes in torch and in onnxruntime, on this machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import onnxruntime
import torch
from tabulate import tabulate

from xreid_plugin.export.check import Runtime
from xreid_plugin.export.program import ClipEmbedder, random_clips

TIMED_BATCHES = (1, 8)
_RUNS, _FEWEST, _SECONDS = 20, 3, 20.0


class Latency(NamedTuple):
    """Seconds of every run of a batch.

    Attributes:
        clips: B.
        torch: in torch, in inference mode.
        onnxruntime: in onnxruntime, with as many threads.
    """

    clips: int
    torch: list[float]
    onnxruntime: list[float]


def measure(embedder: ClipEmbedder, runtime: Runtime, clips: int, frames: int, size: tuple[int, int]) -> Latency:
    """Times one batch of noise in both, in turn, so that whatever else the machine does affects both.

    20 runs each, or as many as fit 20 s, but 3 at least; one before does not count.
    """
    inputs = random_clips(clips, frames, size), torch.zeros(clips, dtype=torch.int64)
    with torch.inference_mode():
        return Latency(clips, *_timed_in_turn(lambda: embedder(*inputs), lambda: runtime(*inputs)))


def latency_table(found: list[Latency]) -> str:
    """A table for people: medians in milliseconds and, in brackets, quartiles."""
    rows = []
    for line in found:
        in_torch, in_onnxruntime = statistics.median(line.torch), statistics.median(line.onnxruntime)
        cells = [line.clips, _spread(line.torch), _spread(line.onnxruntime), f"{in_torch / in_onnxruntime:.1f}"]
        rows.append([*cells, f"{line.clips / in_onnxruntime:.2f}"])
    headers = ["clips", "torch, ms", "onnxruntime, ms", "times faster", "clips/s"]
    return tabulate(rows, headers, disable_numparse=True, stralign="right")


def machine() -> str:
    """What was measured on, in a line."""
    return (
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads of {os.cpu_count()}; torch "
        f"{torch.__version__}, onnxruntime {onnxruntime.__version__}, both on the CPU in float32"
    )


def _spread(seconds: Sequence[float]) -> str:
    lower, median, upper = (1000 * cut for cut in statistics.quantiles(seconds, n=4, method="inclusive"))
    return f"{median:.1f} ({lower:.1f} to {upper:.1f})"


def _timed_in_turn(*works: Callable[[], object]) -> list[list[float]]:
    for work in works:
        work()
    seconds: list[list[float]] = [[] for _ in works]
    while len(seconds[0]) < _FEWEST or (len(seconds[0]) < _RUNS and sum(map(sum, seconds)) < _SECONDS):
        for work, taken in zip(works, seconds, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return seconds
