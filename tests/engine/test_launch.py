import os
import socket

import pytest

from xreid_plugin.engine.job import Job
from xreid_plugin.engine.launch import launch
from xreid_plugin.engine.rank import speaks_for_machine
from xreid_plugin.user_errors import USAGE_ERROR

ALONE = Job(processes=1, machines=1, machine=0, host="127.0.0.1", port=0, on_cuda=False, by_torchrun=False)


def test_a_single_process_runs_in_place():
    seen = []
    launch(ALONE, lambda *given: seen.append((os.getpid(), given)), (1, 2))
    assert seen == [(os.getpid(), (1, 2))]
    assert speaks_for_machine()


def test_a_port_that_is_taken_is_said_so(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        job = ALONE._replace(processes=2, port=other.getsockname()[1])
        with pytest.raises(SystemExit) as ended:
            launch(job, print)
    assert ended.value.code == USAGE_ERROR
    assert f"--dist-url: 127.0.0.1:{job.port}" in capsys.readouterr().err
