"""How long a batch takes in torch and in onnxruntime, on this machine."""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from tabulate import tabulate

from xreid_plugin.export.embedder import ClipEmbedder, random_clips
from xreid_plugin.export.libraries import library
from xreid_plugin.export.runtime import Runtime

TIMED_BATCHES = (1, 8)
_RUNS, _FEWEST, _SECONDS = 20, 3, 20.0


class Spread(NamedTuple):
    """Milliseconds of a batch, over all runs.

    Attributes:
        lower: the first quartile.
        median: the median.
        upper: the third quartile.
    """

    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """From at least two runs."""
        return cls(*(1000 * cut for cut in statistics.quantiles(seconds, n=4, method="inclusive")))

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.lower:.1f} to {self.upper:.1f})"


class Latency(NamedTuple):
    """Time of a batch.

    Attributes:
        clips: B.
        torch: time in torch, in inference mode.
        onnxruntime: time in onnxruntime, with as many threads.
    """

    clips: int
    torch: Spread
    onnxruntime: Spread


def measure(embedder: ClipEmbedder, runtime: Runtime, clips: int, frames: int, size: tuple[int, int]) -> Latency:
    """Times one batch of noise in both, in turn, so that whatever else the machine does affects both.

    20 runs each, or as many as fit 20 s, but 3 at least; one before does not count.
    """
    inputs = random_clips(clips, frames, size), torch.zeros(clips, dtype=torch.int64)
    with torch.inference_mode():
        in_torch, in_onnxruntime = _timed_in_turn(lambda: embedder(*inputs), lambda: runtime(*inputs))
    return Latency(clips, Spread.of(in_torch), Spread.of(in_onnxruntime))


def latency_table(found: list[Latency]) -> str:
    """A table for people: medians and, in brackets, quartiles; no more digits of a ratio than noise leaves."""
    rows = [
        [
            line.clips,
            line.torch,
            line.onnxruntime,
            two_digits(line.torch.median / line.onnxruntime.median),
            f"{1000 * line.clips / line.onnxruntime.median:.2f}",
        ]
        for line in found
    ]
    headers = ["clips", "torch, ms", "onnxruntime, ms", "times faster", "clips/s"]
    return tabulate(rows, headers, disable_numparse=True, stralign="right")


def two_digits(ratio: float) -> str:
    """A positive number, rounded to two significant digits: "0.95", "1.0", "13", "200"."""
    places = 1 - math.floor(math.log10(ratio))
    rounded = round(ratio, places)
    # 9.96 becomes 10, which has a digit more before the point.
    places = 1 - math.floor(math.log10(rounded))
    return f"{rounded:.{max(0, places)}f}"


def machine() -> str:
    """What the figures were measured on, in a line."""
    return (
        f"{_processor()}, {torch.get_num_threads()} threads of {os.cpu_count()}; torch {torch.__version__}, "
        f"onnxruntime {library('onnxruntime').__version__}, both on the CPU in float32"
    )


def _timed_in_turn(*works: Callable[[], object]) -> list[list[float]]:
    """Seconds of every run of each."""
    for work in works:
        work()
    seconds: list[list[float]] = [[] for _ in works]
    while len(seconds[0]) < _FEWEST or (len(seconds[0]) < _RUNS and sum(map(sum, seconds)) < _SECONDS):
        for work, taken in zip(works, seconds, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return seconds


def _processor() -> str:
    # Linux reports it only there.
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
