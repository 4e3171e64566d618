import pytest

from xreid_plugin.user_errors import message_of, report_user_error


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize("debug", [False, True])
def test_the_message_comes_last_and_the_traceback_where_asked_for(capsys, debug):
    assert report_user_error("tool", raised(ValueError("what is wrong")), debug) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.endswith("tool: what is wrong\n")
    assert ("Traceback" in output.err) == debug


def test_every_error_has_a_text():
    assert message_of(KeyError("no quotes")) == "no quotes"
    assert message_of(KeyError()) == "KeyError"
    assert message_of(AssertionError()) == "AssertionError"
    assert message_of(FileNotFoundError(2, "No such file", "a.npz")) == "No such file: 'a.npz'"
