"""Writes a trained model as one ONNX file, checks it against torch, and times both.

Examples:
    python tools/export.py logs/xreid/vcm/model_final.pth --output logs/xreid.onnx
    python tools/export.py projects/XReID/configs/vcm.yml --output logs/xreid.onnx --settings MODEL.WEIGHTS best.pth
    python tools/export.py model_final.pth --output averaged.onnx --raw --no-latency --settings TEST.FLIP.ENABLED True

The file reads images (B, T, 3, H, W) uint8, RGB, 0 to 255, resized to HxW and not normalised, and cameras (B,) int64,
the dataset's camera numbers; a number that training has not seen, such as -1, means no camera embedding. It returns
embedding (B, F) float32, rows of length 1. B is free, T, H and W are fixed. It needs neither torch nor this plugin:

    import json, numpy as np, onnxruntime

    session = onnxruntime.InferenceSession("logs/xreid.onnx", providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    T, H, W = (int(facts[name]) for name in ("frames", "height", "width"))
    known = json.loads(facts["cameras"])
    images = np.zeros((2, T, 3, H, W), np.uint8)  # your clips
    cameras = np.array([known[0], -1] if known else [-1, -1], np.int64)
    (embedding,) = session.run(["embedding"], {"images": images, "cameras": cameras})
    similarity = embedding @ embedding.T  # cosines, -1 to 1

The metadata also hold pixel_mean, pixel_std, clips, flip, raw, checkpoint, fingerprint and the whole config. More in
docs/deployment.md. OMP_NUM_THREADS sets the threads of torch and onnxruntime when they are timed.
Exit status: 0 done, 1 the file disagrees with torch and was not written, 2 wrong usage or unusable input, 130
interrupted.
"""

import argparse
import importlib.util
import os
import platform
import statistics
import sys
import timeit
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import ToolFailure, run_tool, tool_parser
from _options import add_imports

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
TIMED_BATCHES = (1, 8)

if TYPE_CHECKING:
    from xreid_plugin.engine.restore import RestoredModel
    from xreid_plugin.export.check import Agreement, Runtime


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports and prints; returns the exit status."""
    return run_tool(_parser(), _export, arguments)


def _export(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    if missing := [name for name in LIBRARIES if importlib.util.find_spec(name) is None]:
        raise ValueError(f"The export needs {', '.join(missing)}: pip install {' '.join(LIBRARIES)}")

    if args.source.is_dir():
        raise ValueError(f"{args.source} is a folder: name a checkpoint in it, such as {args.source}/model_final.pth.")

    from xreid_plugin.engine.restore import restore
    from xreid_plugin.export.check import CheckError, Runtime, write_checked
    from xreid_plugin.export.program import ClipEmbedder, clip_shape, facts, translate

    timed = () if args.no_latency else TIMED_BATCHES
    # None leaves it to tqdm, which is quiet where there is no terminal.
    with tqdm(total=3 + len(timed), desc="Loading", unit="step", leave=False, disable=None) as bar:

        def step(what: str) -> None:
            bar.update()
            bar.set_description(what)

        source = restore(args.source, "cpu", args.settings)
        clip = clip_shape(source.cfg)
        step("Translating")
        embedder = ClipEmbedder(source.model, source.cfg.TEST.FLIP.ENABLED, args.raw)
        program = translate(embedder, *clip, facts(source, args.raw))
        step("Writing and checking")
        args.output.parent.mkdir(parents=True, exist_ok=True)
        try:
            agreements = write_checked(program, embedder, args.output, clip, source.cameras, args.tolerance)
        except CheckError as error:
            raise ToolFailure(str(error)) from error
        runtime = Runtime(args.output)
        latencies = []
        for clips in timed:
            step(f"Timing {clips} clips")
            latencies.append(_latency(embedder, runtime, clips, *clip))
    print(_summary(args.output, source, runtime))
    if source.cfg.TEST.FRAMES == "dense" and not args.raw:
        print("TEST.FRAMES is dense: to average the clips of a tracklet as evaluation does, export with --raw.")
    print(_agreement_table(agreements, args.tolerance))
    if latencies:
        print(f"\nTime of a batch, median and quartiles ({_machine()}):\n{_latency_table(latencies)}")
    print(f"\nWritten to {args.output}; --help shows how to run it.")
    return 0


def _summary(file: Path, source: "RestoredModel", runtime: "Runtime") -> str:
    from xreid_plugin.export.program import clip_shape
    from xreid_plugin.files import in_words

    frames, (height, width) = clip_shape(source.cfg)
    cameras = ", ".join(map(str, source.cameras)) or "none"
    dimensions = runtime.session.get_outputs()[0].shape[1]
    return (
        f"{file}: {in_words(file.stat().st_size)}; clips of {frames} frames of {height}x{width} to {dimensions} "
        f"numbers; cameras with an embedding: {cameras}; model {runtime.metadata['fingerprint'][:12]}"
    )


def _agreement_table(agreements: "list[Agreement]", tolerance: float) -> str:
    from tabulate import tabulate

    rows = [[line.clips, f"{line.difference:.1e}", f"{line.cosine:.7f}"] for line in agreements]
    table = tabulate(rows, ["clips", "max difference", "lowest cosine"], disable_numparse=True, stralign="right")
    return f"\nonnxruntime beside torch, rows of length 1, tolerance {tolerance:g}:\n{table}"


def _latency(embedder: Any, runtime: "Runtime", clips: int, frames: int, size: tuple[int, int]) -> list[str]:
    """A line of the table: a batch of noise in torch and in onnxruntime, in turn, so that other work affects both.

    20 runs each, or as many as fit 20 s, but 3 at least; one before does not count.
    """
    import torch

    from xreid_plugin.export.program import random_clips

    inputs = random_clips(clips, frames, size), torch.zeros(clips, dtype=torch.int64)
    runs = partial(embedder, *inputs), partial(runtime, *inputs)
    seconds: list[list[float]] = [[], []]
    with torch.inference_mode():
        for run in runs:
            run()
        while len(seconds[0]) < 3 or (len(seconds[0]) < 20 and sum(map(sum, seconds)) < 20):
            for run, taken in zip(runs, seconds, strict=True):
                taken.append(timeit.timeit(run, number=1))
    quartiles = [[1000 * cut for cut in statistics.quantiles(taken, method="inclusive")] for taken in seconds]
    cells = [f"{median:.1f} ({lower:.1f} to {upper:.1f})" for lower, median, upper in quartiles]
    ours, its = quartiles[0][1], quartiles[1][1]
    return [str(clips), *cells, f"{ours / its:.1f}", f"{1000 * clips / its:.2f}"]


def _latency_table(lines: list[list[str]]) -> str:
    from tabulate import tabulate

    headers = ["clips", "torch, ms", "onnxruntime, ms", "times faster", "clips/s"]
    return tabulate(lines, headers, disable_numparse=True, stralign="right")


def _machine() -> str:
    """What was measured on, in a line."""
    import onnxruntime
    import torch

    return (
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads of {os.cpu_count()}; torch "
        f"{torch.__version__}, onnxruntime {onnxruntime.__version__}, both on the CPU in float32"
    )


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    add = parser.add_argument_group("the model").add_argument
    add("source", type=Path, metavar="CHECKPOINT|CONFIG.yml", help="a run's checkpoint, or a config that names one")
    add("--settings", nargs="+", default=[], metavar="KEY VALUE", help="override keys, such as INPUT.CLIP.FRAMES 6")
    add_imports(add)
    add = parser.add_argument_group("the file").add_argument
    add("--output", type=Path, required=True, metavar="FILE.onnx", help="written whole, or left unchanged")
    add("--raw", action="store_true", help="rows not scaled to length 1, for averaging clips (TEST.FRAMES dense)")
    add = parser.add_argument_group("its check").add_argument
    add("--tolerance", type=float, default=1e-5, metavar="X", help="largest difference from torch (default: 1e-5)")
    add("--no-latency", action="store_true", help="skip the timing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
