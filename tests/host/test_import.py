import collections
import importlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xreid_plugin import host

CHECKOUT = Path(__file__).parents[2]
REMEDY = r"python -m pip install --no-deps fastreid==1\.4\.0"


def names_of_old():
    return "torch._six" in sys.modules, hasattr(collections, "Mapping")


def test_names_of_old_exist_while_the_host_is_imported_and_no_longer():
    with host.names_of_old():
        assert names_of_old() == (True, True)
        assert isinstance({}, collections.Mapping)
        assert isinstance("text", importlib.import_module("torch._six").string_classes)
    assert names_of_old() == (False, False)


def break_off():
    with host.names_of_old():
        raise RuntimeError("in between")


def test_names_of_old_go_even_if_the_import_fails():
    with pytest.raises(RuntimeError, match="in between"):
        break_off()
    assert names_of_old() == (False, False)


def test_a_fresh_process_imports_without_warnings_and_leaves_no_names_behind(tmp_path):
    # collect_env_info imports torch's compiler helpers, which warn if they find a compiler but no GPU.
    code = (
        "import collections, sys, xreid_plugin\n"
        "assert 'torch._six' not in sys.modules\n"
        "assert not hasattr(collections, 'Mapping')\n"
        "from fastreid.engine import defaults\n"
        "assert 'torch.utils.cpp_extension' not in sys.modules\n"
        "print(defaults.collect_env_info())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "CUDA_HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "fastreid" in ran.stdout


def test_importing_loads_nothing_that_only_some_runs_need():
    code = (
        "import sys, xreid_plugin\n"
        "late = {'sklearn', 'scipy', 'torchvision', 'torch._dynamo', 'open_clip', 'matplotlib'}\n"
        "print(sorted(late & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_another_version_of_the_host_is_refused_with_the_command(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.3.0")
    with pytest.raises(ImportError, match=rf"fixes fast-reid 1\.4\.0, but 1\.3\.0 is installed\. Run: {REMEDY}$"):
        host.check_version()


def test_a_missing_host_is_an_import_error_with_the_command(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(ImportError, match=rf"needs its host, fast-reid 1\.4\.0\. Install it with: {REMEDY}$"):
        host.check_version()


def test_the_host_that_is_installed_will_do():
    host.check_version()
