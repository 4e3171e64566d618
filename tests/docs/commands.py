"""Runs a documented command at a small size, or has it read by the parser of what it calls.

All happens in the process and the working folder of the caller; see tests/docs/run_pages.py.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.data.small_set import SMALL
from tests.docs.markdown import CHECKOUT
from tests.docs.tool_process import Parsed, execute, parsers_end
from xreid_plugin.checks import check_config
from xreid_plugin.config import get_cfg
from xreid_plugin.extensions import import_extensions

RUN, PARSED = "run", "parsed"
PYTHONS = ("python", "python3", ".venv/bin/python")
# What a document writes where a reader has to put something of his own.
PLACEHOLDER = re.compile(
    r"(?:.*[/=])?(?:FILE|DIR|FOLDER|NAME|RUN|GALLERY|KEY|VALUE)(?:[/.].*)?|.*ADDRESS-OF-MACHINE-0.*"
)
RECIPE = ["--config-file", "projects/XReID/configs/vcm.yml"]

SMALL_SET = ["--train-identities", "6", "--test-identities", "4", "--tracklets", "2", "--frames", "12", "13"]
SMALL_SET += ["--size", "48", "24", "--workers", "1"]
SMALL_RUN = [
    *SMALL,
    *("MODEL.DEVICE", "cpu", "MODEL.BACKBONE.PRETRAIN", "False", "SOLVER.AMP.ENABLED", "False"),
    *("SOLVER.ITERS_PER_EPOCH", "1", "SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_ITERS", "0"),
    *("TEST.EVAL_AT_START", "False"),
]
# The working folder's is made by run_pages.
TOWER_FILE = "tower.json"
SMALL_TOWER = ["MODEL.BACKBONE.CLIP_MODEL", TOWER_FILE, "MODEL.MII.HEADS", "4"]


class DocumentError(Exception):
    """Something that a document says is not so."""


def check_command(command, may_run=True):
    """Checks one command line.

    Returns:
        RUN or PARSED.

    Raises:
        DocumentError: it fails, is not understood by what it calls, or is none that could be checked.
    """
    words = shlex.split(command, comments=True)
    program, *arguments = words
    if program == "export":
        for assignment in arguments:
            name, _, value = assignment.partition("=")
            os.environ[name] = local(value)
        return RUN
    if program == "make":
        return _dry_run(arguments)
    if program == "torchrun":
        from torch.distributed.run import get_args_parser

        options = get_args_parser().parse_args(arguments)
        return check_tool(options.training_script, options.training_script_args, may_run=False)
    if program == "pip":
        return _check_module(program, arguments)
    if program in PYTHONS and arguments[:1] == ["-m"]:
        return _check_module(arguments[1], arguments[2:])
    if program in PYTHONS and arguments and arguments[0].startswith("tools/"):
        return check_tool(arguments[0], arguments[1:], may_run)
    if program == "." and arguments == [".venv/bin/activate"]:
        return PARSED
    raise DocumentError(f"can be checked in neither way, as nothing here knows {program}; see tests/docs/commands.py")


def local(word):
    """Folders that stand for those of a reader's machine."""
    return re.sub(r"^/(data|ssd)\b", rf"{Path.cwd()}/\1", word)


def _expanded(word):
    """What a shell makes of a pattern of files."""
    is_pattern = "/" in word and not word.startswith("/") and re.search(r"[*?\[]", word)
    return (sorted(map(str, Path().glob(word))) if is_pattern else []) or [word]


def check_tool(script, arguments, may_run):
    if not (CHECKOUT / script).is_file():
        raise DocumentError(f"there is no {script}")
    if arguments[-1:] == ["..."]:
        # Whatever else a reader gives; a training needs a configuration.
        arguments = [*arguments[:-1], *(RECIPE if script.endswith("/train_net.py") else [])]
    arguments = [found for word in map(local, arguments) for found in _expanded(word)]
    if "--help" in arguments:
        status, said = execute(script, arguments)
        if status or "usage:" not in said:
            raise DocumentError(f"ended with {status}: {said}")
        return RUN
    namespace = _parse(script, arguments)
    if any(PLACEHOLDER.fullmatch(word) for word in arguments):
        may_run = False
    check = CHECKS.get(Path(script).stem)
    more = check(namespace, may_run) if check else None
    if more is None:
        return PARSED
    expected = (0, 1) if "--only-report" in more else (0,)
    status, said = execute(script, [*arguments, *more])
    if status not in expected:
        raise DocumentError(f"ended with {status}: {said[-2000:]}")
    return PARSED if "--only-report" in more else RUN


def _check_train_net(namespace, may_run):
    if PLACEHOLDER.fullmatch(namespace.config_file):
        _check_keys(namespace.opts)
        return None
    try:
        import_extensions(namespace.imports)
        cfg = get_cfg()
        cfg.merge_from_file(namespace.config_file)
        cfg.merge_from_list([local(word) for word in namespace.opts])
        check_config(cfg)
    except (OSError, ValueError) as error:
        raise DocumentError(str(error)) from error
    last = Path(cfg.OUTPUT_DIR) / "last_checkpoint"
    trained = Path(cfg.MODEL.WEIGHTS).is_file() if cfg.MODEL.WEIGHTS else last.is_file()
    if not may_run or namespace.num_gpus > 1 or namespace.num_machines > 1 or (namespace.eval_only and not trained):
        return None
    if cfg.DATASETS.PACK and not Path(cfg.DATASETS.PACK).is_file():
        return None
    root = {"HITSZVCM": "data/HITSZ-VCM", "BUPTCampus": "data/BUPTCampus"}.get(cfg.DATASETS.NAMES[0])
    small = [*SMALL_RUN, *(SMALL_TOWER if cfg.MODEL.BACKBONE.NAME == "build_clip_vision_backbone" else [])]
    # A dataset of a reader's own lies where the page says.
    return [*small, *(["DATASETS.ROOT", root] if root else [])]


def _check_evaluate_features(namespace, may_run):
    return [] if may_run and namespace.features.is_file() else None


def _check_export(namespace, may_run):
    _check_keys(namespace.settings)
    return ["--no-latency"] if may_run and namespace.source.is_file() else None


def _check_input(namespace, may_run):
    """Runs a tool whose files and folders, but for those that it makes, are all there."""
    given = vars(namespace)
    _check_keys([*given.get("settings", []), *given.get("opts", [])])
    made = {"output", "picture", "to"}
    if "index" in given:
        # Only building knows it.
        made.add("gallery")
    values = [value for name, value in given.items() if name not in made]
    values = [item for value in values for item in (value if isinstance(value, list) else [value])]
    there = all(path.exists() for path in values if isinstance(path, Path))
    return [] if may_run and there else None


# The arguments that are to be added for a run, None where a run is not possible here.
CHECKS = {
    "train_net": _check_train_net,
    "check_dataset": lambda namespace, may_run: ["--no-counts"] if may_run else None,
    "pack_dataset": lambda namespace, may_run: [] if may_run else None,
    "make_synthetic_vcm": lambda namespace, may_run: SMALL_SET if may_run else None,
    "make_config_docs": lambda namespace, may_run: ["--check"] if may_run else None,
    "evaluate_features": _check_evaluate_features,
    # Reads all configurations and plans all runs, but trains nothing.
    "compare": lambda namespace, may_run: ["--only-report"] if may_run else None,
    "export": _check_export,
    "report": _check_input,
    "visualize": _check_input,
    "gallery": _check_input,
}


def _check_keys(pairs):
    pairs = [word for word in pairs if word != "KEY" and word != "VALUE"]
    try:
        get_cfg().merge_from_list(pairs)
    except ValueError as error:
        raise DocumentError(str(error)) from error


def _check_module(module, arguments):
    if module == "ruff":
        # For real, but on no file of ours.
        folder = Path("empty")
        folder.mkdir(exist_ok=True)
        words = [word if word == "." or not (CHECKOUT / word).exists() else "." for word in arguments]
        return _outside([sys.executable, "-m", "ruff", *words], folder, RUN)
    if module == "pip":
        # Its import is not for a process that has setuptools.
        code = (
            "import sys; from pip._internal.commands import create_command; "
            "create_command(sys.argv[1]).parser.parse_args(sys.argv[2:])"
        )
        return _outside([sys.executable, "-c", code, *arguments], CHECKOUT, PARSED)
    if module in ("pytest", "mypy"):
        words = [word for word in arguments if not PLACEHOLDER.fullmatch(word)]
        absent = [word for word in words if "/" in word and not (CHECKOUT / word.partition("::")[0]).exists()]
        if absent:
            raise DocumentError(f"there is no {', '.join(absent)}")
        return _outside([sys.executable, "-m", module, "--version", *words], CHECKOUT, PARSED)
    raise DocumentError(f"can be checked in neither way: python -m {module}; see tests/docs/commands.py")


def _dry_run(arguments):
    words = [local(word) for word in arguments if not PLACEHOLDER.fullmatch(word)]
    return _outside(["make", "-n", *words], CHECKOUT, PARSED)


def _outside(words, folder, way):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise DocumentError(f"ended with {done.returncode}: {done.stdout}{done.stderr}")
    return way


def _parse(script, arguments):
    """What the tool's own parser makes of the arguments."""
    try:
        with parsers_end():
            status, said = execute(script, arguments)
    except Parsed as parsed:
        return parsed.namespace
    raise DocumentError(f"is not understood, status {status}: {said}")
