import pytest

from tests.comparison.finished import planned
from xreid_plugin.comparison.runs import SETTINGS, Usage, execute

RESULTS = '{"metrics": {"I2V/mAP": 12.5}, "protocol": {}, "curves": {}, "model": {}}'


@pytest.fixture
def stand_in(tmp_path):
    """A program in the place of tools/train_net.py that does what its text says, in the run's folder."""

    def write(body):
        path = tmp_path / "stand_in.py"
        lines = ["import pathlib, sys", f"folder = pathlib.Path({str(tmp_path)!r}) / 'model' / 'seed0'", body]
        path.write_text("\n".join(lines))
        return path

    return write


def finish(tmp_path):
    return f"(folder / {planned(tmp_path).results.name!r}).write_text({RESULTS!r})"


def test_a_run_is_given_its_settings_its_folder_and_the_modules_that_are_imported(tmp_path, stand_in):
    run = planned(tmp_path)
    assert execute(run, stand_in(f"print(sys.argv[1:]); {finish(tmp_path)}"), ["own.py"]) == 0
    given = ["--config-file", str(run.folder / SETTINGS), "--import", "own.py", "OUTPUT_DIR", repr(str(run.folder))]
    assert run.last_line == str(given)
    assert (run.folder / SETTINGS).read_text() == run.settings


def test_a_run_with_a_checkpoint_is_resumed_and_what_it_used_adds_up(tmp_path, stand_in):
    run = planned(tmp_path)
    interrupted = "ballast = bytearray(96 << 20); (folder / 'last_checkpoint').write_text('m.pth'); sys.exit(3)"
    assert execute(run, stand_in(interrupted)) == 3
    first = Usage.of(run)
    assert execute(run, stand_in(f"print('--resume' in sys.argv); {finish(tmp_path)}")) == 0
    assert run.last_line == "True"
    assert Usage.of(run).seconds > first.seconds > 0
    assert Usage.of(run).peak_bytes == first.peak_bytes >= 96 << 20


def test_on_a_gpu_the_peak_is_what_the_training_log_says_and_a_run_without_results_has_failed(tmp_path, stand_in):
    run = planned(tmp_path)
    assert execute(run, stand_in("print('iter 1 3.5 GiB'); print('iter 2 4.0 GiB'); print('done')")) == 1
    assert Usage.of(run).peak_bytes == 4 * 2**30
