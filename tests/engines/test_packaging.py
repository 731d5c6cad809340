"""Spark finds its data source however the package was installed: the one module it looks for lies at the top."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("hatchling") is None, reason="needs hatchling")

ROOT = Path(__file__).resolve().parents[2]
FINDER = "pyspark_m3ter.py"


def build(source: Path, kind: str, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    ended = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    (built,) = out.iterdir()
    return built


def test_the_wheel_has_it_also_where_it_is_built_from_the_sdist(tmp_path: Path) -> None:
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    for number, tree in enumerate((ROOT, source)):
        wheel = build(tree, "wheel", tmp_path / f"wheel{number}")
        with zipfile.ZipFile(wheel) as archive:
            assert {name.split("/")[0] for name in archive.namelist() if ".dist-info" not in name} == {
                *("m3ter_async", FINDER)
            }
            archive.extractall(tmp_path / f"installed{number}")
        assert found_by_spark(tmp_path / f"installed{number}")


def test_an_editable_installation_has_it(tmp_path: Path) -> None:
    wheel = build_editable(tmp_path / "editable")
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith(".pth")]
        folders = archive.read(path).decode().split()
    assert [folder for folder in folders if (Path(folder) / FINDER).exists()]
    assert found_by_spark(*map(Path, folders))


def build_editable(out: Path) -> Path:
    out.mkdir()
    code = f"import hatchling.build; print(hatchling.build.build_editable({str(out)!r}))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return out / ended.stdout.split()[-1]


def found_by_spark(*folders: Path) -> bool:
    """Whether what Spark does to find data sources finds this one in these folders."""
    code = (
        "import pkgutil, sys\n"
        "print([each.name for each in pkgutil.iter_modules(sys.argv[1:]) if each.name.startswith('pyspark_')])\n"
    )
    command = [sys.executable, "-I", "-c", code, *map(str, folders)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return ended.stdout.strip() == "['pyspark_m3ter']"
