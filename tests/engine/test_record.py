import json

from fastreid.utils.events import EventStorage

from xreid_plugin.engine.record import RunWriter


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path, *iterations, torn=""):
    path.write_text("".join(json.dumps({"iteration": n, "lr": n / 8}) + "\n" for n in iterations) + torn)


def test_what_lies_beyond_the_checkpoint_and_half_lines_are_cut_off(tmp_path):
    path = tmp_path / "metrics.json"
    write_lines(
        path, 0, 2, torn='{"iteration": 3, "lr"\n{"iteration": 5, "lr": 0.625}\n{"iteration": 8}\n{"iteration": 9'
    )
    writer = RunWriter(path, 6)
    assert [line["iteration"] for line in lines(path)] == [0, 2, 5]
    with EventStorage() as storage:
        # The first is written already.
        for iteration, name in ((5, "old"), (6, "new")):
            storage.iter = iteration
            storage.put_scalar(name, 1.0)
        writer.write()
    writer.close()
    assert lines(path)[3:] == [{"iteration": 6, "new": 1.0}]


def test_a_fresh_run_keeps_the_file_of_the_last_beside_its_own(tmp_path):
    path = tmp_path / "metrics.json"
    write_lines(path, 0, 2)
    RunWriter(path, 0).close()
    assert path.read_text() == ""
    assert [line["iteration"] for line in lines(tmp_path / "metrics.json.previous")] == [0, 2]


def test_tensorboard_has_all_that_is_written_and_hides_what_was_beyond(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def write(start, iterations, value):
        writer = RunWriter(tmp_path / "metrics.json", start)
        with EventStorage() as storage:
            for iteration in iterations:
                storage.iter = iteration
                storage.put_scalar("lr", value, smoothing_hint=False)
                writer.write()
        return writer

    # Never closed, as a killed run's.
    killed = write(0, range(5), 1.0)
    # The two files' names begin with the second of their making, and readers take them in that order.
    (first,) = tmp_path.glob("events*")
    first.rename(first.with_name("events.out.tfevents.0000000001.first"))
    write(3, range(2, 6), 2.0).close()
    seen = EventAccumulator(str(tmp_path))
    seen.Reload()
    points = [(event.step, event.value) for event in seen.Scalars("lr")]
    assert points == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]
    killed.close()
