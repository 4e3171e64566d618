"""Real jobs of two processes: losses and metrics of one process, and a clean end. test_interruption has torchrun."""

import json
import os
import signal
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.data.small_set import SMALL
from tests.e2e.runs import Run, free_port, run_to_its_end, two_ranks
from xreid_plugin.evaluation.results import read_results

pytestmark = pytest.mark.slow

# Rates that do not depend on the number of epochs, so that a run without end begins like a short one.
STEADY = ["SOLVER.SCHED", "MultiStepLR", "SOLVER.STEPS", "[]"]
# Adam's first steps are as long for a gradient that is nothing but rounding as for any other.
STEADY += ["SOLVER.OPT", "SGD", "SOLVER.MOMENTUM", "0.9"]
ENDLESS = ["SOLVER.MAX_EPOCH", "100000", "TEST.EVAL_PERIOD", "2"]
# Of whole numbers of clips per batch and rank, the three: 28 test tracklets in dense clips are an odd number.
DENSE = ["TEST.FRAMES", "dense", "TEST.IMS_PER_BATCH", "6"]


def overrides(root, output, *more):
    return [*SMALL, *STEADY, *DENSE, "DATASETS.ROOT", str(root), "OUTPUT_DIR", str(output), *more]


@contextmanager
def job(style, folder, *arguments):
    """The commands of a job of two processes, one of them for each machine."""
    lines = [["--num-gpus", "2"]]
    if style == "two machines":
        meeting = ["--num-machines", "2", "--dist-url", f"tcp://127.0.0.1:{free_port()}"]
        lines = [[*meeting, "--machine-rank", str(machine)] for machine in range(2)]
    with ExitStack() as stack:
        yield [stack.enter_context(Run(folder, *line, *arguments)) for line in lines]


def pid_of_rank_1(runs):
    """It is the process that writes that rank's log."""
    for run in runs:
        for entry in run.processes():
            for file in (entry / "fd").iterdir():
                # It opens and closes others meanwhile.
                with suppress(FileNotFoundError):
                    if file.readlink().name == "log.txt.rank1":
                        return int(entry.name)
    raise AssertionError("rank 1 is not running")


def training_record(output, iterations):
    """What metrics.json has of the first iterations, without what a clock has measured."""
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    clocked = ("time", "data_time", "clips_per_second")
    return [
        {key: value for key, value in line.items() if key not in clocked}
        for line in lines
        if line["iteration"] < iterations and "total_loss" in line
    ]


@pytest.fixture(scope="module")
def alone(small_set, tmp_path_factory):
    """The folder of a run of a single process, of two epochs."""
    output = tmp_path_factory.mktemp("alone")
    line = overrides(small_set, output, "SOLVER.MAX_EPOCH", "2", "TEST.EVAL_PERIOD", "2")
    run_to_its_end(tmp_path_factory.mktemp("log"), *line)
    return output


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds rank 1 and orphans in /proc")
@pytest.mark.parametrize("style", ["one machine", "two machines"])
def test_two_processes_are_like_one_until_one_is_killed(style, alone, small_set, tmp_path):
    output = tmp_path / "run"
    with job(style, tmp_path, *overrides(small_set, output, *ENDLESS)) as runs:
        runs[0].wait_for((output / "results_epoch_2.json").exists, while_it_runs=True)
        os.kill(pid_of_rank_1(runs), signal.SIGKILL)
        for run in runs:
            assert run.wait(seconds=60) == 1, run.said()
            run.wait_for(lambda run=run: not run.processes(), seconds=10)
            # Of another machine a process knows no more than that its connection is broken.
            assert any(words in run.said() for words in ("SIGKILL", "Connection reset", "Connection closed"))
            assert "UserWarning" not in run.said()

    for name in ("results_before_training.json", "results_epoch_2.json"):
        one, two = (read_results(folder / name) for folder in (alone, output))
        # Weights may differ by rounding, and times do.
        assert two[:3] == one[:3]
    for expected, actual in zip(training_record(alone, 5), training_record(output, 5), strict=True):
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert any(name.startswith("loss_") for name in expected)


def test_two_processes_evaluate_like_one_and_end_well(alone, small_set, tmp_path):
    # Metrics come out of the features; an equal table could hide that a tracklet was embedded twice.
    features = ["TEST.SAVE_FEATURES", str(tmp_path / "features.npz"), "MODEL.WEIGHTS", str(alone / "model_final.pth")]
    arguments = ["--eval-only", *overrides(small_set, tmp_path / "run", *features)]
    with two_ranks(tmp_path, *arguments) as ranks:
        assert [rank.wait() for rank in ranks] == [0, 0], [rank.said() for rank in ranks]
    (again,) = (tmp_path / "run").glob("results_evaluation_dense_*.json")
    assert read_results(again)[:3] == read_results(alone / "results_epoch_2.json")[:3]


def test_what_is_wrong_for_all_processes_is_said_once_a_machine(small_set, tmp_path):
    # One process could share them, two cannot: 2 modalities × 2 clips × 2 processes make 8.
    wrong = ["SOLVER.IMS_PER_BATCH", "12"]
    with job("one machine", tmp_path, *overrides(small_set, tmp_path / "run", *wrong)) as (run,):
        assert run.wait() == 2
    (message,) = run.said().splitlines()
    assert message.startswith("train_net: ")
    assert "SOLVER.IMS_PER_BATCH is 12" in message
    assert "2 processes" in message


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds rank 1 in /proc")
def test_a_process_that_answers_no_more_ends_the_run_and_nobody_else_is_blamed(small_set, tmp_path):
    arguments = [*ENDLESS, "TEST.EVAL_PERIOD", "0", "PROCESS_TIMEOUT", "0.1"]
    with job("one machine", tmp_path, *overrides(small_set, tmp_path / "run", *arguments)) as (run,):
        run.wait_for_words("epoch 1 iter ")
        stopped = pid_of_rank_1([run])
        os.kill(stopped, signal.SIGSTOP)
        assert run.wait() == 1
        said = run.complaints()
    assert "PROCESS_TIMEOUT" in said
    assert "Rank 0 has failed" not in said
