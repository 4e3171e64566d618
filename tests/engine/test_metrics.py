import json
from pathlib import Path

import pytest
from fastreid.utils.events import EventStorage

from xreid_plugin.engine.metrics import EventsFile, MetricsFile, has_evaluation, restore_storage, storage_state
from xreid_plugin.files import WriteError


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path, *iterations, torn=""):
    path.write_text("".join(json.dumps({"iteration": n, "lr": n / 8}) + "\n" for n in iterations) + torn)


def test_what_lies_beyond_the_checkpoint_is_cut_off(tmp_path):
    path = tmp_path / "metrics.json"
    write_lines(path, 0, 2, 5, 6, 8, torn='{"iteration": 9, "l')
    file = MetricsFile(path, 6)
    assert [line["iteration"] for line in lines(path)] == [0, 2, 5]
    assert file.last_iteration == 5
    with EventStorage() as storage:
        # The first is written already.
        for iteration, name in ((5, "old"), (6, "new")):
            storage.iter = iteration
            storage.put_scalar(name, 1.0)
        file.write()
    file.close()
    assert lines(path)[3:] == [{"iteration": 6, "new": 1.0}]


def test_half_a_line_within_what_is_kept_is_left_out(tmp_path):
    path = tmp_path / "metrics.json"
    write_lines(path, 0, torn='{"iteration": 1, "lr"\n{"iteration": 2, "lr": 0.25}\n[]\n')
    MetricsFile(path, 9).close()
    assert [line["iteration"] for line in lines(path)] == [0, 2]


def test_a_file_that_fits_is_not_written_anew(tmp_path):
    path = tmp_path / "metrics.json"
    write_lines(path, 0, 2)
    number = path.stat().st_ino
    MetricsFile(path, 3).close()
    assert path.stat().st_ino == number


def test_a_fresh_run_keeps_the_file_of_the_last_beside_its_own(tmp_path):
    path = tmp_path / "metrics.json"
    write_lines(path, 0, 2)
    file = MetricsFile(path, 0)
    file.close()
    assert file.last_iteration == -1
    assert path.read_text() == ""
    assert [line["iteration"] for line in lines(tmp_path / "metrics.json.previous")] == [0, 2]


def test_evaluations_are_known_by_their_figures(tmp_path):
    path = tmp_path / "metrics.json"
    assert not has_evaluation(path, 3)
    path.write_text('{"I2V/mAP": 3.0, "iteration": 3}\n{"lr": 1.0, "iteration": 4}\n{"I2V/mAP": 3.0, "iteration": 5')
    assert [has_evaluation(path, iteration) for iteration in (2, 3, 4, 5)] == [False, True, False, False]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named(tmp_path):
    path = tmp_path / "metrics.json"
    path.symlink_to("/dev/full")
    file = MetricsFile(path, 1)
    with EventStorage() as storage:
        storage.put_scalar("lr", 1.0)
        with pytest.raises(
            WriteError, match=r"metrics\.json could not be written: No space left on device \(.* free\)"
        ):
            file.write()
    file.close()


def test_tensorboard_has_all_that_is_written_and_hides_what_was_beyond(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def write(start, last, iterations, value):
        file = EventsFile(tmp_path, start, last)
        with EventStorage() as storage:
            for iteration in iterations:
                storage.iter = iteration
                storage.put_scalar("lr", value, smoothing_hint=False)
                file.write()
        return file

    def points():
        seen = EventAccumulator(str(tmp_path))
        seen.Reload()
        return [(event.step, event.value) for event in seen.Scalars("lr")]

    # Never closed, as a killed run's.
    killed = write(0, -1, range(5), 1.0)
    assert points() == [(step, 1.0) for step in range(5)]
    # The two files' names begin with the second of their making, and readers take them in that order.
    (first,) = tmp_path.glob("events*")
    first.rename(first.with_name("events.out.tfevents.0000000001.first"))
    write(3, 2, range(2, 6), 2.0).close()
    assert points() == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]
    killed.close()


def test_a_record_goes_on_as_if_it_had_never_been_saved():
    def put(storage, iterations):
        for iteration in iterations:
            storage.iter = iteration
            storage.put_scalar("loss", (7 * iteration) % 5)
            storage.put_scalar("lr", iteration / 8, smoothing_hint=False)
            if iteration % 10 == 0:
                storage.put_scalar("rare", iteration)

    whole, first, second = EventStorage(), EventStorage(), EventStorage()
    put(whole, range(60))
    put(first, range(47))
    restore_storage(second, json.loads(json.dumps(storage_state(first))))
    assert second.latest_with_smoothing_hint() == first.latest_with_smoothing_hint()
    put(second, range(47, 60))
    assert second.latest_with_smoothing_hint() == whole.latest_with_smoothing_hint()
