import shutil
import subprocess
import sys

from tests.docs.markdown import CHECKOUT


def test_clones_that_share_an_environment_install_what_has_changed_alone(tmp_path):
    python, calls = tmp_path / "venv/bin/python", tmp_path / "calls"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\n[ "$1" = -m ] && echo "$@" >> {calls} || exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    wanted = (CHECKOUT / "pyproject.toml").read_text()
    for old, new, installs in (("# What", "# What", 2), ("# What", "# Just what", 2), ("tqdm>=4.66", "tqdm>=4.67", 4)):
        (tmp_path / "pyproject.toml").write_text(wanted.replace(old, new))
        subprocess.run(["make", "-s", "install", "VENV=venv"], cwd=tmp_path, check=True, capture_output=True)
        assert len(calls.read_text().splitlines()) == installs
