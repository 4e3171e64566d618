"""How long a batch takes in torch and in onnxruntime, on this machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from tabulate import tabulate

from xreid_plugin.export.embedder import ClipEmbedder, random_clips
from xreid_plugin.export.libraries import library
from xreid_plugin.export.runtime import Runtime

TIMED_BATCHES = (1, 8)
_RUNS, _FEWEST, _SECONDS = 20, 3, 10.0


class Latency(NamedTuple):
    """Median milliseconds of a batch.

    Attributes:
        clips: B.
        torch: in torch, in inference mode.
        onnxruntime: with as many threads.
    """

    clips: int
    torch: float
    onnxruntime: float


def measure(embedder: ClipEmbedder, runtime: Runtime, clips: int, frames: int, size: tuple[int, int]) -> Latency:
    """Times one batch of noise: 20 runs, or as many as fit 10 s, but 3 at least; one before does not count."""
    inputs = random_clips(clips, frames, size), torch.zeros(clips, dtype=torch.int64)
    with torch.inference_mode():
        in_torch = _median_ms(lambda: embedder(*inputs))
    return Latency(clips, in_torch, _median_ms(lambda: runtime(*inputs)))


def latency_table(found: list[Latency]) -> str:
    """For the eye."""
    rows = [
        [
            line.clips,
            f"{line.torch:.1f}",
            f"{line.onnxruntime:.1f}",
            f"{line.torch / line.onnxruntime:.2f}",
            f"{1000 * line.clips / line.onnxruntime:.2f}",
        ]
        for line in found
    ]
    headers = ["clips", "torch, ms", "onnxruntime, ms", "times faster", "clips/s"]
    return tabulate(rows, headers, disable_numparse=True, stralign="right")


def machine() -> str:
    """What the figures were measured on, in a line."""
    return (
        f"{_processor()}, {torch.get_num_threads()} threads of {os.cpu_count()}; torch {torch.__version__}, "
        f"onnxruntime {library('onnxruntime').__version__}, both on the CPU in float32"
    )


def _median_ms(run: Callable[[], object]) -> float:
    run()
    times: list[float] = []
    while len(times) < _FEWEST or (len(times) < _RUNS and sum(times) < _SECONDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def _processor() -> str:
    # Linux tells it there alone.
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
