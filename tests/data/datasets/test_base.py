import os
import subprocess
import sys

import pytest

from tests.data.datasets.trees import VISIBLE, small_bupt, small_vcm
from xreid_plugin.data.datasets.base import agreement
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.tracklet import Modality

LINE = (7, Modality.VISIBLE, 3)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ({LINE}, True),
        ({LINE, (8, Modality.VISIBLE, 3)}, None),
        ({LINE, None}, None),
        ({(7, Modality.INFRARED, 3)}, False),
        ({None}, False),
    ],
)
def test_agreement_of_a_line_with_its_frames(frames, expected):
    assert agreement(LINE, frames) is expected


def test_what_is_read_does_not_depend_on_the_hash_seed(tmp_path):
    vcm = small_vcm(tmp_path / "HITSZ-VCM")
    for pid in (301, 45, 1000, 88):
        vcm.track("train", VISIBLE, pid, 5)
    vcm.write()
    bupt = small_bupt(tmp_path / "BUPTCampus")
    for pid in (301, 45, 1000, 88):
        bupt.list("train", pid, "RGB/IR", "W4")
    bupt.write()

    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    code = (
        "import sys; from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM; "
        "from xreid_plugin.data.datasets.bupt_campus import BUPTCampus; "
        "sets = HITSZVCM(sys.argv[1]), BUPTCampus(sys.argv[1], auxiliary=True); "
        "print([(d.train_identities, d.train, d.test, d.tasks, d.cameras, d.protocol) for d in sets])"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout

    sets = HITSZVCM(tmp_path), BUPTCampus(tmp_path, auxiliary=True)
    assert [d.train_identities for d in sets] == [(2, 7, 45, 88, 301, 1000), (4, 9, 10, 45, 88, 301, 1000)]
    here = [(d.train_identities, d.train, d.test, d.tasks, d.cameras, d.protocol) for d in sets]
    assert there.splitlines()[-1] == str(here)
