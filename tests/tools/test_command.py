import os
import subprocess
import sys

import pytest

PRINTED = "import sys; sys.path.insert(0, 'tools'); import _command, os; print(os.environ['OMP_WAIT_POLICY'])"


@pytest.mark.parametrize(("given", "found"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_wait_without_spinning_unless_the_user_wants_it(given, found):
    bare = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    assert subprocess.check_output([sys.executable, "-c", PRINTED], env={**bare, **given}, text=True).strip() == found
