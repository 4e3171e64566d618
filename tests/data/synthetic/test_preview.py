import cv2
import numpy as np
import pytest

from xreid_plugin.data.synthetic import SyntheticError, SyntheticSettings, write_preview


def test_a_sheet_has_a_row_an_identity_in_colour_on_the_left_and_grey_on_the_right(tmp_path):
    settings = SyntheticSettings(train_identities=3, size=(160, 80), tracklets=2)
    write_preview(settings, tmp_path / "sheet.png", identities=2)
    sheet = cv2.imread(str(tmp_path / "sheet.png")).astype(int)
    # Two rows of 160 pixels; four tracklets of three frames of 80; a gap of 4 after each.
    assert sheet.shape == (2 * 164, 4 * (3 * 80 + 4), 3)
    middle = sheet.shape[1] // 2
    assert np.ptp(sheet[:, middle:], axis=-1).max() == 0
    assert np.ptp(sheet[:, :middle], axis=-1).max() > 30


def test_short_tracklets_fill_their_cells_too(tmp_path):
    write_preview(SyntheticSettings(train_identities=1, tracklets=2, short_share=1.0), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").is_file()


def test_other_kinds_of_file_are_refused(tmp_path):
    with pytest.raises(SyntheticError, match=r"\.png"):
        write_preview(SyntheticSettings(), tmp_path / "sheet.jpg")
