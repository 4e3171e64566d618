"""The wheel, installed outside of the checkout, and the host's own training program with one line more."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import xreid_plugin
from tests.data.small_set import SMALL

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
IN_THE_SOURCE = ("xreid_plugin", "pyproject.toml", "README.md", "LICENSE")

# What fast-reid's repository has as tools/train_net.py, which its wheel lacks, and "import xreid_plugin".
HOSTS_PROGRAM = """\
import sys

import xreid_plugin
from fastreid.config import get_cfg
from fastreid.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from fastreid.utils.checkpoint import Checkpointer


def setup(args):
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    cfg.freeze()
    default_setup(cfg, args)
    return cfg


def main(args):
    cfg = setup(args)
    if args.eval_only:
        cfg.defrost()
        cfg.MODEL.BACKBONE.PRETRAIN = False
        model = DefaultTrainer.build_model(cfg)
        Checkpointer(model).load(cfg.MODEL.WEIGHTS)
        return DefaultTrainer.test(cfg, model)
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


if __name__ == "__main__":
    args = default_argument_parser().parse_args()
    launch(main, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(args,))
"""


def python(*arguments, cwd, path=""):
    ran = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(path)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of a copy, as building leaves folders behind in the source."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in IN_THE_SOURCE:
        entry = CHECKOUT / name
        if entry.is_dir():
            shutil.copytree(entry, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(entry, source)
    options = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    python("-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(source), cwd=folder)
    (file,) = folder.glob("xreid_plugin-*.whl")
    return file


def test_the_wheel_holds_every_file_of_the_package_and_no_test(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = CHECKOUT / "xreid_plugin"
    files = [f for f in package.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert packed == {f.relative_to(CHECKOUT).as_posix() for f in files}
    assert wheel.name.startswith(f"xreid_plugin-{xreid_plugin.__version__}-")
    assert {"xreid_plugin/py.typed", "xreid_plugin/modeling/clip_configs/xreid-tiny.json"} <= packed


def test_the_hosts_program_trains_with_prototypes_and_evaluates_both_directions(wheel, small_set, tmp_path):
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    (tmp_path / "train_net.py").write_text(HOSTS_PROGRAM, encoding="utf-8")
    for configs in ("configs", "projects/XReID/configs"):
        shutil.copytree(CHECKOUT / configs, tmp_path / configs)

    config = ("--config-file", "projects/XReID/configs/synthetic.yml")
    data = ("DATASETS.ROOT", str(small_set), "MODEL.DEVICE", "cpu", "OUTPUT_DIR", "run")
    short = ("SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_ITERS", "0", "TEST.EVAL_AT_START", "False")
    python("train_net.py", *config, *SMALL, *data, *short, cwd=tmp_path, path=installed)
    output = tmp_path / "run"
    (results,) = output.glob("results_evaluation_*.json")
    metrics = json.loads(results.read_text())["metrics"]
    assert {name.partition("/")[0] for name in metrics} == {"I2V", "V2I"}
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    assert any("prototype/modality_cosine" in line for line in lines)
    assert any("loss_cpcl" in line for line in lines)
    assert (output / "last_checkpoint").read_text() == "model_final.pth"
    weights = ("MODEL.WEIGHTS", "run/model_final.pth")
    said = python("train_net.py", "--eval-only", *config, *SMALL, *data, *weights, cwd=tmp_path, path=installed).stdout
    assert {line.split()[1] for line in said.splitlines() if line.startswith("| ")} >= {"I2V", "V2I"}
