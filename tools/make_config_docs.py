"""Writes docs/configuration.md: every configuration key with its default, its range and its meaning.

Examples:
    python tools/make_config_docs.py
    python tools/make_config_docs.py --check

Run it after changing xreid_plugin/config.py.
Exit status: 0 done, 1 the file is out of date (--check), 2 a file that cannot be written, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import ToolFailure, run_tool, tool_parser

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "projects/XReID/configs/vcm.yml"
PAGE = ROOT / "docs/configuration.md"
COMMAND = "python tools/make_config_docs.py"

# What the recipe and the tools use of the host; the host documents most of its keys by their name alone.
HOST_KEYS = {
    "MODEL.DEVICE": "Where the model runs: auto, cpu, cuda or cuda:N. auto takes a GPU where there is one.",
    "MODEL.META_ARCHITECTURE": "XReID, or FrameBaseline for an image model on clips.",
    "MODEL.WEIGHTS": "Checkpoint to start from, or to evaluate. Empty: none, or the last of OUTPUT_DIR.",
    "MODEL.FREEZE_LAYERS": "Parts that do not learn for the first SOLVER.FREEZE_ITERS iterations.",
    "MODEL.PIXEL_MEAN": "Mean of the normalisation, of 0 to 255: ImageNet's.",
    "MODEL.BACKBONE.NAME": "Entry of the host's registry of backbones.",
    "MODEL.BACKBONE.PRETRAIN": "Start from pretrained weights.",
    "MODEL.BACKBONE.PRETRAIN_PATH": "File of those weights; empty: open_clip fetches them.",
    "MODEL.HEADS.NAME": "Entry of the host's registry of heads.",
    "MODEL.HEADS.NUM_CLASSES": "Training identities; 0: counted in the training set.",
    "MODEL.LOSSES.NAME": "Losses that are summed; X-ReID's are entries of the plugin's registry.",
    "MODEL.LOSSES.TRI.MARGIN": "Margin of the triplet loss.",
    "DATASETS.NAMES": "The dataset to train on, one.",
    "DATASETS.TESTS": "Datasets to evaluate on.",
    "DATALOADER.SAMPLER_TRAIN": "Entry of the plugin's registry of samplers.",
    "DATALOADER.NUM_INSTANCE": "K, clips of an identity and modality in a batch.",
    "DATALOADER.NUM_WORKERS": "Processes that read frames. -1: this process's share of the cores, at most 8.",
    "INPUT.SIZE_TRAIN": "Height and width of a frame in training, in pixels.",
    "INPUT.SIZE_TEST": "The same at test; for a transformer it must be that of training.",
    "INPUT.FLIP.ENABLED": "Mirror training clips.",
    "INPUT.FLIP.PROB": "Probability of that, drawn once a clip.",
    "INPUT.PADDING.ENABLED": "Crop training clips at random after padding them, one draw a clip.",
    "INPUT.PADDING.SIZE": "Pixels of padding on every side.",
    "INPUT.REA.ENABLED": "Erase a random rectangle in training.",
    "INPUT.REA.PROB": "Probability of that, a draw.",
    "SOLVER.OPT": "Optimiser: a class of torch.optim, but for LBFGS, Muon and SparseAdam.",
    "SOLVER.BASE_LR": "Learning rate after the warm-up.",
    "SOLVER.WEIGHT_DECAY": "Also _BIAS and _NORM, of biases and normalisation layers.",
    "SOLVER.BIAS_LR_FACTOR": "Factor on the learning rate of biases.",
    "SOLVER.WARMUP_FACTOR": "Factor on the learning rate in the first iteration.",
    "SOLVER.WARMUP_ITERS": "Iterations until it is 1.",
    "SOLVER.WARMUP_METHOD": "How it rises.",
    "SOLVER.SCHED": "How the learning rate falls afterwards.",
    "SOLVER.STEPS": "MultiStepLR: epochs at which it falls, counted from the end of the warm-up; empty: never.",
    "SOLVER.AMP.ENABLED": "Mixed precision.",
    "SOLVER.IMS_PER_BATCH": "Clips in a batch, over all processes: 2 modalities × P identities × K clips.",
    "SOLVER.MAX_EPOCH": "Epochs.",
    "SOLVER.CHECKPOINT_PERIOD": "Epochs between two checkpoints.",
    "TEST.EVAL_PERIOD": "Epochs between two evaluations; 0: none.",
    "TEST.IMS_PER_BATCH": "Clips in a batch at test.",
    "TEST.FLIP.ENABLED": "Average the embeddings of a clip and its mirror image.",
    "TEST.RERANK.ENABLED": "Metrics with k-reciprocal re-ranking beside the raw ones.",
    "TEST.RERANK.K1": "Neighbours that make an encoding.",
    "TEST.RERANK.K2": "Neighbours over which encodings are averaged.",
    "TEST.RERANK.LAMBDA": "Weight of the original distance.",
    "TEST.AQE.ENABLED": "Query expansion before any distance.",
    "TEST.ROC.ENABLED": "Verification metrics as well.",
    "OUTPUT_DIR": "Folder of the run.",
}

HEAD = f"""\
# Configuration keys

Made by `{COMMAND}` from [xreid_plugin/config.py](../xreid_plugin/config.py),
[checks.py](../xreid_plugin/checks.py) and the recipe; do not edit it.

A configuration is a YAML file, which may build on another by `_BASE_`; `KEY VALUE` at the end of a command line
overrides all files. An unknown key, a value of another type or out of its range ends the program before any data is
read, with the file and the key.

Marks: [P] the paper, [C] the authors' public code, [D] this project's decision.
"""
HOST_HEAD = """
## The host's keys

Those that the recipe sets or the tools read. "Recipe" is what [vcm.yml](../projects/XReID/configs/vcm.yml) says where
that is not the default. The host's INPUT.CJ and INPUT.PADDING work on clips too, with one draw per clip. Its other
augmentations, TEST.METRIC (here ranks are by cosine), TEST.PRECISE_BN, and of its backbones, heads and losses what the
chosen model does not have are not used.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page, or compares it; returns the exit status."""
    return run_tool(_parser(), _write_or_check, arguments)


def config_page() -> str:
    """The whole page, in Markdown."""
    import xreid_plugin  # noqa: F401  (fixes the host)
    from xreid_plugin.checks import HOST_ALLOWED
    from xreid_plugin.config import KEYS, get_cfg

    sections = [HEAD]
    for title, keys in KEYS.items():
        rows = [
            (f"`{key.name}`", _code(key.default), _words(key.allowed), f"{key.meaning} [{key.mark}]".replace(" []", ""))
            for key in keys
        ]
        sections.append(f"\n## {title}\n\n{_table(rows)}\n")
    defaults, recipe = get_cfg(), get_cfg()
    recipe.merge_from_file(str(RECIPE))
    of_host = []
    for name, meaning in HOST_KEYS.items():
        default, used = attrgetter(name)(defaults), attrgetter(name)(recipe)
        changed = "" if used == default else _code(used)
        of_host.append((f"`{name}`", _code(default), changed, _words(HOST_ALLOWED.get(name)), meaning))
    sections.append(f"{HOST_HEAD}\n{_table(of_host, 'recipe')}\n")
    return "".join(sections)


def _words(allowed: Any) -> str:
    return ", ".join(allowed) if isinstance(allowed, tuple) else str(allowed or "")


def _code(value: Any) -> str:
    return f"`{_rounded(value)!r}`"


def _rounded(value: Any) -> Any:
    """The host computes some of its defaults; their last digits say nothing."""
    if isinstance(value, list | tuple):
        return type(value)(map(_rounded, value))
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _table(rows: Iterable[Sequence[str]], *more: str) -> str:
    headers = ["key", "default", *more, "may be", "meaning"]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [headers, [":--"] * len(headers), *rows])


def _write_or_check(args: argparse.Namespace) -> int:
    page = config_page()
    from xreid_plugin.files import replace_atomically

    if not args.check:
        replace_atomically(args.output, lambda part: part.write_text(page, encoding="utf-8"))
        print(f"Written to {args.output}")
        return 0
    if not args.output.is_file() or args.output.read_text(encoding="utf-8") != page:
        raise ToolFailure(f"{args.output} is not what xreid_plugin/config.py says; run {COMMAND}.")
    print(f"{args.output} is what xreid_plugin/config.py says.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    add = parser.add_argument_group("output").add_argument
    add("--output", type=Path, default=PAGE, metavar="FILE", help="the page (default: docs/configuration.md)")
    add("--check", action="store_true", help="write nothing: only compare")
    return parser


if __name__ == "__main__":
    sys.exit(main())
