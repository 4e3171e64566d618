from tests.data.datasets.trees import small_bupt, small_vcm
from xreid_plugin.data.check_counts import compare_with_full_copy
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM


def test_counts_stand_beside_those_of_a_full_copy(tmp_path):
    dataset = HITSZVCM(small_vcm(tmp_path).write())
    counts = {name: (found, full) for name, found, full in compare_with_full_copy(dataset)}
    assert counts["train identities"] == (2, 500)
    assert counts["test identities"] == (2, 427)
    assert counts["train tracklets listed"] == (4, 11_061)
    assert counts["train infrared frames"] == (24, 98_214)
    assert counts["I2V gallery visible tracklets"] == (2, 5_099)
    assert counts["V2I query visible tracklets"] == (2, None)


def test_another_length_filter_compares_only_what_it_leaves_alone(tmp_path):
    dataset = HITSZVCM(small_vcm(tmp_path).write(), min_length=1)
    assert {name for name, _, full in compare_with_full_copy(dataset) if full is not None} == {
        "train tracklets listed",
        "I2V query tracklets listed",
        "I2V gallery tracklets listed",
    }


def test_the_auxiliary_set_is_expected_when_it_was_asked_for(tmp_path):
    small_bupt(tmp_path).write()
    full = {name: full for name, _, full in compare_with_full_copy(BUPTCampus(tmp_path, auxiliary=True))}
    assert full["train identities"] == 1_074 + 930
    assert full["train visible frames"] == 398_069 + 104_575
    assert full["test identities"] == 1_076
