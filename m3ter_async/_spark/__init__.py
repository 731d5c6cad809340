"""The Spark data source ``m3ter``; `plugin` holds the module by which Spark finds it."""
