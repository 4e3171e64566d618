from dataclasses import replace

import numpy as np

from tests.gallery.galleries import EMPTY, batch, unit_rows
from xreid_plugin.gallery.answers import answer
from xreid_plugin.gallery.calibration import Calibration
from xreid_plugin.gallery.records import Record
from xreid_plugin.gallery.store import Gallery, add, create

CALIBRATION = Calibration(0.9, 0.01, 0.01, 0.8, 100, 10)


def test_the_best_matching_is_that_of_all_permutations_and_strangers_get_none(tmp_path):
    create(tmp_path / "gallery", EMPTY)
    add(tmp_path / "gallery", [batch(10)])
    gallery = Gallery(tmp_path / "gallery")
    # Both like row 3 best, and the first has somebody else.
    rows = gallery.embeddings
    both = np.stack([rows[3] + 0.9 * rows[5], rows[3] + 0.1 * rows[7], unit_rows(1, 99)[0]])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    free = replace(gallery.manifest, calibration=None)
    asking = [Record()] * 3
    assert [found.nearest.record.number for found in answer(gallery, both, asking)][:2] == [4, 4]
    gallery.manifest = free
    among = np.array([3, 5, 7])
    numbers = [found.hits[0].record.number for found in answer(gallery, both, asking, assign=True, among=among)]
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    sums = [sum((both @ rows[among].T)[range(3), order]) for order in orders]
    assert numbers == (among[orders[int(np.argmax(sums))]] + 1).tolist()
    assert [len(found.hits) for found in answer(gallery, both, asking, assign=True, among=among[:1])].count(1) == 1
    gallery.manifest = replace(free, calibration=replace(CALIBRATION, threshold=0.6))
    found = answer(gallery, both, asking, assign=True)
    assert [[hit.record.number for hit in one.hits] for one in found][1:] == [[4], []]
