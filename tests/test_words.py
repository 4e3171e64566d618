from xreid_plugin.words import counted


def test_one_is_singular_and_all_else_is_not():
    assert [counted(number, "line") for number in (0, 1, 2, 1000)] == ["0 lines", "1 line", "2 lines", "1,000 lines"]
    assert counted(1, "frame is missing", "frames are missing") == "1 frame is missing"
    assert counted(3, "frame is missing", "frames are missing") == "3 frames are missing"
