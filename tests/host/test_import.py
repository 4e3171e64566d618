import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import fastreid
import pytest

from xreid_plugin import host

CHECKOUT = Path(__file__).parents[2]


def test_a_fresh_process_imports_without_warnings_and_nothing_that_only_some_runs_need(tmp_path):
    code = (
        f"import collections, sys; sys.path.insert(0, {str(CHECKOUT)!r}); import xreid_plugin\n"
        "assert 'torch._six' not in sys.modules and not hasattr(collections, 'Mapping')\n"
        "late = {'sklearn', 'scipy', 'torchvision', 'torch._dynamo', 'open_clip', 'matplotlib'}\n"
        "print(sorted(late & set(sys.modules)))\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr, ran.stdout.strip()) == (0, "", "[]")


def test_another_version_of_the_host_is_refused_with_the_command(monkeypatch):
    host.check_version()
    # Which its report on the environment tells.
    assert fastreid.__version__ == importlib.metadata.version("fastreid")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.3.0")
    with pytest.raises(ImportError, match=r"1\.3\.0.*pip install --no-deps fastreid==1\.4\.0"):
        host.check_version()
