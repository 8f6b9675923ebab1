"""Meta's parameter builder as an oracle: npm's `capi-param-builder-nodejs`, installed into a folder of its own.

It runs in tests and benchmarks only; nothing of it is copied.
"""

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGE: Final = "capi-param-builder-nodejs"
VERSION: Final = "1.3.2"
SECONDS: Final = 180
KINDS: Final = {
    "em": "email",
    "ph": "phone",
    "fn": "first_name",
    "ln": "last_name",
    "ge": "gender",
    "db": "date_of_birth",
    "ct": "city",
    "st": "state",
    "zp": "zip_code",
    "country": "country",
    "external_id": "external_id",
}
ASK: Final = """
const {ParamBuilder} = require('capi-param-builder-nodejs');
const builder = new ParamBuilder();
const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(asked.map(([kind, value]) => builder.getNormalizedAndHashedPII(value, kind) ?? null)));
"""


class NotToBeHadError(Exception):
    """The oracle cannot be installed here. Its text is the reason, in one line."""


@dataclass(frozen=True)
class Builder:
    """The package in `folder`."""

    folder: Path

    def hashes(self, asked: Iterable[tuple[str, str]]) -> list[str | None]:
        """For each (field, value) the hash in lower case without Meta's appendix, or None where it sends nothing."""
        questions = json.dumps([(KINDS[field], value) for field, value in asked])
        return [_bare(answer) for answer in json.loads(self.run(ASK, questions))]

    def run(self, script: str, stdin: str = "") -> str:
        """The output of a script that may require the package."""
        command = ["node", "-e", script]
        done = subprocess.run(command, input=stdin, cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout


def install(folder: Path) -> Builder:
    """The oracle, installed into the folder unless it is there. Raises NotToBeHadError."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise NotToBeHadError("node and npm are not installed")
    if not (folder / "node_modules" / PACKAGE).exists():
        _npm_install(folder)
    return Builder(folder)


def _npm_install(folder: Path) -> None:
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"]
    try:
        subprocess.run([*command, f"{PACKAGE}@{VERSION}"], check=True, capture_output=True, timeout=SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NotToBeHadError(f"npm cannot install {PACKAGE}@{VERSION}") from error


def _bare(answer: str | None) -> str | None:
    return answer.partition(".")[0].lower() if answer else None
