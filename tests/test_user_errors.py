from xreid_plugin.user_errors import report_user_error


def test_no_escape_code_of_a_files_name_reaches_the_terminal(capsys):
    assert report_user_error("tool", FileNotFoundError("a\x1b[2J is missing\nin\x85"), debug=False) == 2
    assert capsys.readouterr().err == "tool: a\\x1b[2J is missing\nin\\x85\n"
