"""docs/python.md: each of its programs is run, in the order of the page, in a folder of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

from conftest import BINDING, TREE, run_python

PAGE = TREE / "docs" / "python.md"


def programs() -> List[str]:
    """A piece that imports sarsen is a program of its own; the others follow each other in one that has a store."""
    pieces = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len(pieces) >= 10
    whole = [piece for piece in pieces if "import sarsen\n" in piece]
    parts = [piece for piece in pieces if "import sarsen\n" not in piece]
    assert len(whole) >= 2
    return [*whole, "import sarsen\nstore = sarsen.open('page.sarsen')\n" + "".join(parts) + "store.close()\n"]


def said_by(program: str, folder: Path) -> str:
    """What a program prints; it must end well."""
    folder.mkdir()
    with run_python(program, cwd=folder) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, program
    return said


def test_each_program_of_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    for number, program in enumerate(programs()):
        said_by(program, tmp_path / str(number))


def test_the_first_program_prints_what_it_should(tmp_path: Path) -> None:
    assert said_by(programs()[0], tmp_path / "first") == "commit 1: They still stand.\n"


def test_control_a_program_that_fails_is_noticed(tmp_path: Path) -> None:
    failed = False
    try:
        said_by("import sarsen\nsarsen.none()\n", tmp_path / "control")
    except AssertionError:
        failed = True
    assert failed


def test_the_readme_of_the_package_runs(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", (BINDING / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    said_by(program, tmp_path / "readme")
