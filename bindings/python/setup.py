"""A wheel that carries the library is for one platform, one that doesn't is for all. The rest is in pyproject.toml.

SARSEN_WHEEL_PLATFORM names the platform where more is known of it than that it is this machine's.
"""

import os
from pathlib import Path
from typing import Tuple

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

CARRIED = (Path(__file__).parent / "sarsen" / "libsarsen.so.0").exists()


class Wheel(bdist_wheel):
    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = not CARRIED

    def get_tag(self) -> Tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", os.environ.get("SARSEN_WHEEL_PLATFORM", platform) if CARRIED else "any"


setup(cmdclass={"bdist_wheel": Wheel})
