"""Meta's npm packages, for tests that hold us against them. They are fetched into a cache, never committed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def installed(package: str, cache: Path) -> Path:
    """The folder whose node_modules hold the package; skips without Node.js, fails where nothing may be skipped."""
    if not (npm := shutil.which("npm")) or not shutil.which("node"):
        if os.environ.get("CI"):
            pytest.fail("Node.js is missing: apt-get install nodejs npm")
        pytest.skip("Node.js is missing: apt-get install nodejs npm")
    folder = cache / "npm" / package
    if not (folder / "node_modules" / package).exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), package]
        subprocess.run(command, check=True, timeout=100)
    return folder
