from xreid_plugin.user_errors import message_of


def test_every_error_has_a_text():
    assert message_of(KeyError("no quotes")) == "no quotes"
    assert message_of(KeyError()) == "KeyError"
    assert message_of(AssertionError()) == "AssertionError"
    assert message_of(FileNotFoundError(2, "No such file", "a.npz")) == "No such file: 'a.npz'"
