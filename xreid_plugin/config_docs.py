"""The page of all configuration keys, generated from what xreid_plugin/config.py says about each.

Text and defaults come from the source, ranges from the checks, and the host's keys from the recipe that sets them: the
page cannot say anything that the code does not.
"""

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from fastreid.config import CfgNode

from xreid_plugin import config
from xreid_plugin.config_files import read_chain
from xreid_plugin.config_merge import leaves
from xreid_plugin.engine.config_values import FIXED_NAMES, RANGES

COMMAND = "python tools/make_config_docs.py"

# What the recipe and the tools use of the host; the host documents most of its keys by their name alone.
HOST_KEYS = {
    "MODEL.DEVICE": "Where the model runs: auto, cpu, cuda or cuda:N. auto takes a GPU where there is one.",
    "MODEL.META_ARCHITECTURE": "XReID, or FrameBaseline for an image model on clips.",
    "MODEL.WEIGHTS": "Checkpoint to start from, or to evaluate. Empty: none, or the last of OUTPUT_DIR.",
    "MODEL.FREEZE_LAYERS": "Parts that do not learn for the first SOLVER.FREEZE_ITERS iterations.",
    "MODEL.PIXEL_MEAN": "Mean of the normalisation, of 0 to 255: ImageNet's.",
    "MODEL.PIXEL_STD": "Deviation of the normalisation, of 0 to 255: ImageNet's.",
    "MODEL.BACKBONE.NAME": "Entry of the host's registry of backbones.",
    "MODEL.BACKBONE.PRETRAIN": "Start from pretrained weights.",
    "MODEL.BACKBONE.PRETRAIN_PATH": "File of those weights; empty: open_clip fetches them.",
    "MODEL.HEADS.NAME": "Entry of the host's registry of heads.",
    "MODEL.HEADS.NUM_CLASSES": "Training identities; 0: counted in the training set.",
    "MODEL.LOSSES.NAME": "Losses that are summed; X-ReID's are entries of the plugin's registry.",
    "MODEL.LOSSES.TRI.MARGIN": "Margin of the triplet loss.",
    "MODEL.LOSSES.TRI.SCALE": "Weight of the triplet loss.",
    "DATASETS.NAMES": "The dataset to train on, one.",
    "DATASETS.TESTS": "Datasets to evaluate on.",
    "DATALOADER.SAMPLER_TRAIN": "Entry of the plugin's registry of samplers.",
    "DATALOADER.NUM_INSTANCE": "K, clips of an identity and modality in a batch.",
    "DATALOADER.NUM_WORKERS": "Processes that read frames. -1: this process's share of the cores, at most 8.",
    "INPUT.SIZE_TRAIN": "Height and width of a frame in training, in pixels.",
    "INPUT.SIZE_TEST": "The same at test; for a transformer it must be that of training.",
    "INPUT.FLIP.ENABLED": "Mirror training clips.",
    "INPUT.FLIP.PROB": "Probability of that, drawn once a clip.",
    "INPUT.REA.ENABLED": "Erase a random rectangle in training.",
    "INPUT.REA.PROB": "Probability of that, a draw.",
    "SOLVER.OPT": "Optimiser: a class of torch.optim, but for LBFGS, Muon and SparseAdam.",
    "SOLVER.BASE_LR": "Learning rate after the warm-up.",
    "SOLVER.BIAS_LR_FACTOR": "Factor on the learning rate of biases.",
    "SOLVER.WEIGHT_DECAY": "Weight decay.",
    "SOLVER.WEIGHT_DECAY_BIAS": "Weight decay of biases.",
    "SOLVER.WEIGHT_DECAY_NORM": "Weight decay of normalisation layers.",
    "SOLVER.WARMUP_FACTOR": "Factor on the learning rate in the first iteration.",
    "SOLVER.WARMUP_ITERS": "Iterations until it is 1.",
    "SOLVER.WARMUP_METHOD": "How it rises.",
    "SOLVER.SCHED": "How the learning rate falls afterwards.",
    "SOLVER.STEPS": "MultiStepLR: epochs at which it falls; empty: never.",
    "SOLVER.AMP.ENABLED": "Mixed precision.",
    "SOLVER.IMS_PER_BATCH": "Clips in a batch, over all processes: 2 modalities × P identities × K clips.",
    "SOLVER.MAX_EPOCH": "Epochs.",
    "SOLVER.CHECKPOINT_PERIOD": "Epochs between two checkpoints.",
    "TEST.EVAL_PERIOD": "Epochs between two evaluations; 0: none.",
    "TEST.IMS_PER_BATCH": "Clips in a batch at test.",
    "TEST.FLIP.ENABLED": "Average the embeddings of a clip and its mirror image.",
    "TEST.RERANK.ENABLED": "Figures with k-reciprocal re-ranking beside the raw ones.",
    "TEST.RERANK.K1": "Neighbours that make an encoding.",
    "TEST.RERANK.K2": "Neighbours over which encodings are averaged.",
    "TEST.RERANK.LAMBDA": "Weight of the original distance.",
    "TEST.AQE.ENABLED": "Query expansion before any distance.",
    "TEST.ROC.ENABLED": "Verification figures as well.",
    "OUTPUT_DIR": "Folder of the run.",
}

_HEAD = f"""\
# Configuration keys

Made by `{COMMAND}` from the comments in [xreid_plugin/config.py](../xreid_plugin/config.py), the
ranges that are checked before a run, and the recipe; do not edit it.

A configuration is a YAML file, which may build on another by `_BASE_`; `KEY VALUE` at the end of a command line
overrides all files. An unknown key, a value of another type or out of its range ends the program before any data is
read, with a line for each fault: file, line, key, and a value that works.

Marks: [P] the paper, [C] the authors' public code, [D] this project's decision.

"""

_HOST_HEAD = """\
## The host's keys

Those that the recipe sets or the tools read. "Recipe" is what [vcm.yml](../projects/XReID/configs/vcm.yml) says where
that is not the default. The host's INPUT.CJ and INPUT.PADDING work on clips too, with one draw per clip. Its other
augmentations, TEST.METRIC (here ranks are by cosine), TEST.PRECISE_BN, and of its backbones, heads and losses what the
chosen model does not have are not used: a value other than the default ends the program before any data is read.

"""


class DocumentedKey(NamedTuple):
    """Keys that share a comment, mostly one.

    Attributes:
        keys: full dotted names, with their defaults.
        comment: the comment above them, in one line.
    """

    keys: dict[str, Any]
    comment: str


def documented_groups() -> dict[str, list[DocumentedKey]]:
    """The plugin's keys by the function of config.py that adds them, in the order of the source.

    Raises:
        ValueError: a key without a comment above it; names its line.
    """
    source = inspect.getsource(config)
    lines = source.splitlines()
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    groups = {function.name: list(_keys_of(function, lines)) for function in functions}
    return {_title(name): keys for name, keys in groups.items() if keys}


def config_page(recipe: Path) -> str:
    """The whole page, in Markdown.

    Args:
        recipe: the YAML file whose keys of the host are listed.

    Raises:
        ValueError: the recipe sets a key of the host that HOST_KEYS does not explain.
    """
    groups = [f"## {title}\n\n{_table(_rows(keys))}\n" for title, keys in documented_groups().items()]
    return _HEAD + "\n".join(groups) + "\n" + _HOST_HEAD + _host_table(recipe) + "\n"


def _keys_of(function: ast.FunctionDef, lines: Sequence[str]) -> Iterator[DocumentedKey]:
    # What a local name of the function stands for, such as "cpc" for MODEL.CPC.
    stands_for = {argument.arg: "" for argument in function.args.args}
    for statement in function.body:
        if not isinstance(statement, ast.Assign):
            continue
        added: dict[str, Any] = {}
        for target in statement.targets:
            if isinstance(target, ast.Attribute):
                name = _dotted(target, stands_for)
                added |= _values(name, statement.value)
        for target in statement.targets:
            if isinstance(target, ast.Name):
                is_alias = isinstance(statement.value, ast.Attribute)
                stands_for[target.id] = _dotted(statement.value, stands_for) if is_alias else name
        if added:
            yield DocumentedKey(added, _comment_above(statement.lineno, lines))


def _dotted(node: ast.expr, stands_for: Mapping[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, stands_for)}.{node.attr}".lstrip(".")
    assert isinstance(node, ast.Name)
    return stands_for[node.id]


def _values(name: str, value: ast.expr) -> dict[str, Any]:
    """The keys below ``name`` that an assignment gives a value: none for an empty node."""
    if not isinstance(value, ast.Call):
        return {name: ast.literal_eval(value)}
    return {f"{name}.{key}": default for node in value.args for key, default in ast.literal_eval(node).items()}


def _comment_above(number: int, lines: Sequence[str]) -> str:
    """The comment above the statement on the 1-based line ``number``."""
    first = number - 1
    while lines[first - 1].lstrip().startswith("# "):
        first -= 1
    if first == number - 1:
        raise ValueError(f"xreid_plugin/config.py, line {number}: {lines[number - 1].strip()} has no comment above it.")
    return " ".join(line.strip().removeprefix("# ") for line in lines[first : number - 1])


def _title(function: str) -> str:
    return "Run" if function == config.add_xreid_config.__name__ else function.removeprefix("_add_").capitalize()


def _rows(keys: Sequence[DocumentedKey]) -> Iterator[list[str]]:
    for entry in keys:
        names = list(entry.keys)
        yield [
            "<br>".join(f"`{name}`" for name in names),
            "<br>".join(_code(value) for value in entry.keys.values()),
            "<br>".join(map(_allowed, names)) if any(map(_allowed, names)) else "",
            entry.comment,
        ]


def _host_table(recipe: Path) -> str:
    defaults = dict(leaves(config.get_cfg()))
    ours = {name for keys in documented_groups().values() for entry in keys for name in entry.keys}
    recipe_keys = {name: value for file in read_chain(recipe) for name, value in leaves(file.keys)}
    unexplained = sorted(recipe_keys.keys() - ours - HOST_KEYS.keys())
    if unexplained:
        raise ValueError(
            f"{recipe} sets {', '.join(unexplained)}, which HOST_KEYS of xreid_plugin/config_docs.py lacks."
        )
    cfg: CfgNode = config.get_cfg()
    cfg.merge_from_file(str(recipe))
    rows = []
    for name, meaning in HOST_KEYS.items():
        used = attrgetter(name)(cfg)
        changed = "" if used == defaults[name] else _code(used)
        rows.append([f"`{name}`", _code(defaults[name]), changed, _allowed(name), meaning])
    return _table(rows, "recipe")


def _allowed(name: str) -> str:
    if name in FIXED_NAMES:
        return ", ".join(FIXED_NAMES[name])
    return RANGES[name].rule.removeprefix("it must be ") if name in RANGES else ""


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
