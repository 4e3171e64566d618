"""The real command of `make demo`, with smaller numbers."""

import re

import pytest

from tests.data.small_set import SMALL
from tests.e2e.runs import run_to_its_end, run_tool
from xreid_plugin.evaluation.results import read_results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    output = tmp_path_factory.mktemp("log") / "run"
    overrides = [*SMALL, "DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(output), "SEED", "-1"]
    done = run_tool("train_net", "--config-file", "projects/XReID/configs/synthetic.yml", *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    return done, output, overrides


def test_ends_without_a_warning_and_with_a_table_of_before_and_after(trained):
    done, _, _ = trained
    assert "warning" not in (done.stdout + done.stderr).lower()
    table = done.stdout[done.stdout.rindex("drawn people, in percent:") :]
    header, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    names = ["Rank-1", "Rank-5", "Rank-10", "Rank-20", "mAP", "mINP"]
    assert [cell.strip() for cell in header.split("|")[3:-1]] == names
    assert [row.split("|")[1].strip() for row in rows] == ["I2V", "I2V", "V2I", "V2I"]
    assert [row.split("|")[2].strip() for row in rows] == ["before training", "epoch 2"] * 2


def test_eval_only_repeats_the_last_metrics_beside_the_runs_own_record(trained):
    _, output, overrides = trained
    record = [(output / name).read_bytes() for name in ("config.yaml", "log.txt")]
    said = run_to_its_end(output.parent, "--eval-only", *overrides)
    assert [(output / name).read_bytes() for name in ("config.yaml", "log.txt")] == record
    (config,) = output.glob("config_evaluation_even_*.yaml")
    assert "model_final.pth" in config.read_text()
    assert "Environment info" in (output / "log_evaluation.txt").read_text()
    assert "HITSZVCM layout, drawn people, model_final.pth, even frames" in said
    last = read_results(output / "results_epoch_2.json")
    (file,) = output.glob("results_evaluation_even_*.json")
    again = read_results(file)
    assert again[:3] == last[:3]
    facts = {"weights": last.model["weights"], "checkpoint": "model_final.pth", "seed": last.model["seed"]}
    assert {name: again.model[name] for name in facts} == facts


def test_a_finished_run_says_what_it_has_and_has_its_own_seed_again(trained):
    done, output, overrides = trained
    config = output / "config.yaml"
    (seed,) = re.findall(r"^SEED: (\d+)$", config.read_text(), re.MULTILINE)
    assert f"seed {seed}" in done.stdout
    # A training that was begun in the same folder and failed has written its own.
    config.write_text(config.read_text().replace(f"SEED: {seed}", "SEED: 5"))
    said = run_to_its_end(output.parent, "--resume", *overrides)
    assert f"SEED: {seed}\n" in config.read_text()
    last = said.splitlines()[-1]
    assert "The run is finished: it stands at iteration 6 of 6" in last
    assert str(output) in last
    assert "MODEL.WEIGHTS" in last
    assert "Starting training" not in said
