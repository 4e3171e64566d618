"""The real command of `make demo`, with smaller numbers."""

import re

import pytest

from tests.data.small_set import SMALL
from tests.e2e.commands import run_tool
from xreid_plugin.evaluation.results import read_results

pytestmark = pytest.mark.slow

CONFIG = "projects/XReID/configs/synthetic.yml"


def train_net(*arguments):
    return run_tool("train_net", *arguments)


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    overrides = [*SMALL, "DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(output), "SEED", "-1"]
    done = train_net("--config-file", CONFIG, *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    return done, output, overrides


def test_ends_with_a_table_of_before_and_after(trained):
    done, _, _ = trained
    table = done.stdout[done.stdout.rindex("drawn people, in percent:") :]
    header, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in header.split("|")[3:-1]] == [
        "Rank-1",
        "Rank-5",
        "Rank-10",
        "Rank-20",
        "mAP",
        "mINP",
    ]
    assert [row.split("|")[1].strip() for row in rows] == ["I2V", "I2V", "V2I", "V2I"]
    assert [row.split("|")[2].strip() for row in rows] == ["before training", "epoch 2"] * 2


def test_nothing_warns(trained):
    done, _, _ = trained
    assert "warning" not in (done.stdout + done.stderr).lower()


def test_eval_only_repeats_the_last_figures_beside_the_runs_own_record(trained):
    _, output, overrides = trained
    record = [(output / name).read_bytes() for name in ("config.yaml", "log.txt")]
    done = train_net("--config-file", CONFIG, "--eval-only", *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(output / name).read_bytes() for name in ("config.yaml", "log.txt")] == record
    (config,) = output.glob("config_evaluation_even_*.yaml")
    assert "model_final.pth" in config.read_text()
    assert "Environment info" in (output / "log_evaluation.txt").read_text()
    assert "HITSZVCM layout, drawn people, model_final.pth, even frames" in done.stdout
    last = read_results(output / "results_epoch_2.json")
    (file,) = output.glob("results_evaluation_even_*.json")
    again = read_results(file)
    assert again[:3] == last[:3]
    facts = {"weights": last.model["weights"], "checkpoint": "model_final.pth", "seed": last.model["seed"]}
    assert {name: again.model[name] for name in facts} == facts


def test_a_finished_run_says_what_it_has_and_how_to_go_on(trained):
    _, output, overrides = trained
    done = train_net("--config-file", CONFIG, "--resume", *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert "The run is finished: it stands at iteration 6 of 6, and has had 2 of its 2 epochs." in last
    assert f" {output / 'results_epoch_2.json'}. " in last
    assert "MODEL.WEIGHTS" in last
    assert "Starting training" not in done.stdout
    assert "Total training time" not in done.stdout


def test_a_missing_dataset_is_one_clear_message(tmp_path):
    done = train_net("--config-file", CONFIG, "DATASETS.ROOT", str(tmp_path / "nowhere"), "OUTPUT_DIR", str(tmp_path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "make demo" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["SOLVER.IMS_PER_BATCH", "6"], "SOLVER.IMS_PER_BATCH"),
        (["SOLVER.NO_SUCH_KEY", "1"], "SOLVER.NO_SUCH_KEY"),
    ],
)
def test_a_contradiction_names_its_key(trained, overrides, named):
    _, _, small = trained
    done = train_net("--config-file", CONFIG, *small, *overrides)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert named in done.stderr


def seed_of(output):
    (seed,) = re.findall(r"^SEED: (\d+)$", (output / "config.yaml").read_text(), re.MULTILINE)
    return seed


def test_a_seed_that_was_drawn_is_told_and_is_that_of_the_resumed_run(trained):
    done, output, overrides = trained
    seed = seed_of(output)
    assert f"seed {seed}" in done.stdout
    # A training that was begun in the same folder and failed has written its own.
    config = output / "config.yaml"
    config.write_text(config.read_text().replace(f"SEED: {seed}", "SEED: 5"))
    done = train_net("--config-file", CONFIG, "--resume", *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    assert seed_of(output) == seed
