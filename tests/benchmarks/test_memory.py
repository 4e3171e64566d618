import subprocess
import sys
from pathlib import Path

import pytest

from xreid_plugin.benchmarks import memory

FORKED = "import sys; from xreid_plugin.benchmarks import memory; print(*memory.forked_worker({!r}, {}))"


def forked_worker(kind, tracklets):
    command = [sys.executable, "-c", FORKED.format(kind, tracklets)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return memory.WorkerMemory(*map(int, done.stdout.split()))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux counts private pages")
def test_a_forked_worker_that_reads_all_paths_of_a_table_copies_few():
    tracklets = 5000
    lists, table = forked_worker("lists", tracklets), forked_worker("table", tracklets)
    frames = tracklets * memory.FRAMES
    # A string of 30 letters has 79 bytes, with its place in a list 87; counting its references copies all of them.
    assert (lists.after - lists.before) / frames > 60
    # Four objects a tracklet and no other, of some 70 bytes each: over 21 frames, 13 bytes; and half as much again.
    assert (table.after - table.before) / frames < 20
    assert table.parent < lists.parent / 2


def test_both_kinds_are_the_same_tracklets():
    assert memory.make("lists", 50) == memory.make("table", 50)


def test_cases_name_functions_that_are_there():
    for case in memory.cases(["400"]):
        for function in filter(None, (case.reference, case.plugin)):
            getattr(memory, function)(**case.arguments)()


@pytest.mark.parametrize("size", ["", "0", "many", "-1"])
def test_a_size_is_a_number_of_tracklets(size):
    with pytest.raises(ValueError, match="write a number of tracklets"):
        memory.cases([size])
