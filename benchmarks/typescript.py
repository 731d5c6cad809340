"""m3ter's package for node: looked for, and installed by npm into a folder of this user's cache."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import which

PACKAGE, VERSION = "m3ter-sdk", "0.3.1"
OTHER = "M3TER_SDK_FOR_NODE"  # a variable: anything else that npm installs, such as a folder with the built package
_WORKERS = Path(__file__).parent / "workers"
_LONGEST = 120  # seconds


@cache
def installed() -> Path | str:
    """The folder in which node finds the package, or why there is none."""
    if not (which("node") and which("npm")):
        return "node and npm are not installed"
    wanted = os.environ.get(OTHER, f"{PACKAGE}@{VERSION}")
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cached / "m3ter-async" / "benchmarks" / sha256(wanted.encode()).hexdigest()[:12]
    about = folder / "node_modules" / PACKAGE / "package.json"
    if not about.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
        command = ["npm", "install", "--prefix", str(folder), *options, wanted]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=True)
        except subprocess.CalledProcessError as error:
            return f"npm cannot install {wanted} ({_code(error.stderr)}); {OTHER} names another place"
        except subprocess.TimeoutExpired:
            return f"npm did not install {wanted} within {_LONGEST} seconds"
        if not about.exists():
            return f"{wanted} is no {PACKAGE}"
    found = json.loads(about.read_text(encoding="utf-8"))["version"]
    return folder if found == VERSION else f"{wanted} is version {found}, and {VERSION} is what is measured"


def program(worker: str) -> list[str]:
    """What runs a worker in node; what the worker is told comes behind it."""
    return ["node", str(_WORKERS / worker), str(installed())]


def _code(said: str) -> str:
    """The code in what npm said, or its first line."""
    lines = said.strip().splitlines() or ["without a word"]
    coded = [line.split()[-1] for line in lines if line.startswith(("npm error code", "npm ERR! code"))]
    return coded[0] if coded else lines[0]
