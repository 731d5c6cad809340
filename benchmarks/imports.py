"""What an import costs: the median over fresh processes, taken in turn, and which modules it brought along."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from typing import Any

from .contest import ROOT

STATEMENTS = (
    "import msgspec",
    "import m3ter_async",
    "from m3ter_async import AsyncM3ter",
    "import aiohttp",
    "import m3ter",
)
_HEAVY = ("aiohttp", "httpx", "anyio", "pydantic")
_PROGRAM = """
import json, sys, time
started = time.perf_counter()
{statement}
seconds = time.perf_counter() - started
print(json.dumps([seconds, sorted(sys.modules)]))
"""


def measure(times: int) -> dict[str, dict[str, Any]]:
    """Import each `times` times; a first, uncounted one writes the bytecode."""
    seconds: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    modules: dict[str, list[str]] = {}
    failures: dict[str, str] = {}
    for turn in range(times + 1):
        for statement in STATEMENTS:
            program = _PROGRAM.format(statement=statement)
            command = [sys.executable, "-c", program]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                failures[statement] = done.stderr.strip().splitlines()[-1]
                continue
            taken, modules[statement] = json.loads(done.stdout)
            if turn:
                seconds[statement].append(taken)
    return {
        statement: {"failure": failures[statement]}
        if statement in failures
        else {
            "seconds": median(seconds[statement]),
            "modules": len(modules[statement]),
            "heavy": [name for name in _HEAVY if name in modules[statement]],
            "resources": [name for name in modules[statement] if _is_resource(name)],
        }
        for statement in STATEMENTS
    }


def _is_resource(module: str) -> bool:
    package, _, name = module.rpartition(".")
    return package.startswith("m3ter_async.resources") and not name.startswith("_")
