"""How Spark finds ``format("m3ter")``: it asks each top-level module named ``pyspark_…`` for its `DefaultSource`.

It is installed beside ``m3ter_async``. Where Spark does not look by itself, register it:
``spark.dataSource.register(pyspark_m3ter.DefaultSource)``.
"""

from m3ter_async._spark.source import M3terDataSource as DefaultSource

__all__ = ["DefaultSource"]
