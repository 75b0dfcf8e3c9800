"""What the tests share: stores in folders of their own, on real files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List

import pytest

import sarsen

BINDING = Path(__file__).resolve().parent.parent
TREE = BINDING.parent.parent


# A shell that starts this in the background lets it ignore Ctrl-C, and so would every process started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sarsen.Store]:
    """A store that survives kills only: fast."""
    with sarsen.open(tmp_path / "store", survive=sarsen.Survive.PROCESS) as opened:
        yield opened


def run_python(program: str, *arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """A process of its own, on this package and this library."""
    command: List[str] = [sys.executable, "-W", "error::ResourceWarning", "-c", program, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(sarsen.__file__))}
    return subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
