"""Files that would run code, through every door by which the real command takes a file."""

import argparse

import pytest
import torch

from tests.data.small_set import SMALL, small_config
from tests.e2e.commands import run_tool
from tests.hostile import hostile_yaml, write_hostile_checkpoint
from xreid_plugin.engine.checkpoint import read_checkpoint
from xreid_plugin.engine.command_line import run
from xreid_plugin.engine.setup import adopt_checkpoint_facts
from xreid_plugin.torch_files import WeightFileError

CONFIG = "projects/XReID/configs/synthetic.yml"


@pytest.fixture
def refused(small_set, tmp_path):
    """Runs the command, which must end with one message and leave no mark; returns the message."""

    def refused(*arguments):
        options = [word for word in arguments if word.startswith("--")]
        keys = [word for word in arguments if not word.startswith("--")]
        output = ["DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(tmp_path / "run")]
        done = run_tool("train_net", "--config-file", CONFIG, *options, *SMALL, *output, *keys)
        assert done.returncode == 2, done.stderr
        assert not (tmp_path / "mark").exists()
        assert "Traceback" not in done.stderr
        # With warnings as errors, Python also tells of files that the ended run had open.
        (message,) = [line for line in done.stderr.splitlines() if line.startswith("train_net: ")]
        return message

    return refused


@pytest.fixture
def hostile(tmp_path):
    path = write_hostile_checkpoint(tmp_path / "hostile.pth", tmp_path / "mark")
    torch.load(path, weights_only=False)
    # The file is hostile indeed.
    (tmp_path / "mark").unlink()
    return path


REMEDY = "loading it could run code. Where it comes from, save its state_dict alone"


def test_weights_to_evaluate(refused, hostile):
    message = refused("--eval-only", "MODEL.WEIGHTS", str(hostile))
    assert message.startswith(f"train_net: {hostile} is refused")
    assert REMEDY in message


def test_weights_to_start_from(refused, hostile):
    assert REMEDY in refused("MODEL.WEIGHTS", str(hostile))


def test_a_checkpoint_to_go_on_from(refused, hostile, tmp_path):
    (tmp_path / "run").mkdir()
    hostile.rename(tmp_path / "run/model_0.pth")
    (tmp_path / "run/last_checkpoint").write_text("model_0.pth")
    assert "model_0.pth" in refused("--resume")


def test_weights_of_the_tower(refused, hostile):
    assert REMEDY in refused("MODEL.BACKBONE.PRETRAIN", "True", "MODEL.BACKBONE.PRETRAIN_PATH", str(hostile))


@pytest.mark.parametrize("config", [hostile_yaml("mark"), "- 1", "MODEL: 3", "MODEL: {HEADS: {NUM_CLASSES: many}}", 7])
def test_a_configuration_within_a_checkpoint(tmp_path, config):
    torch.save({"model": {"weight": torch.ones(1)}, "config": config}, tmp_path / "model.pth")
    with pytest.raises(WeightFileError, match=r"model\.pth holds a configuration that cannot be read"):
        adopt_checkpoint_facts(small_config(tmp_path, tmp_path), read_checkpoint(tmp_path / "model.pth"))


def test_the_traceback_is_shown_where_it_is_asked_for(capsys):
    with pytest.raises(SystemExit) as end:
        run(
            argparse.Namespace(
                config_file=CONFIG,
                debug=True,
                eval_only=False,
                opts=["SED", "1"],
                imports=[],
                num_gpus=1,
                num_machines=1,
                machine_rank=0,
                dist_url="auto",
            )
        )
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" in message
    assert message.strip().splitlines()[-1].startswith("train_net: SED ")
