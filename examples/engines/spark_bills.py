"""All bills in Spark, where the package brings the format "m3ter": spark-submit spark_bills.py."""

from pyspark.sql import SparkSession
from pyspark.sql.functions import sum as total_of


def main() -> None:
    spark = SparkSession.builder.getOrCreate()
    bills = (
        spark.read.format("m3ter")
        .option("resource", "bills")
        .option("since", "2000-01-01")
        .option("until", "2030-01-01")
        .option("limiter", "1/2")  # two workers at a time keep half of the rate limit each
        .load()
        .cache()  # each action would ask the service again
    )
    totals = bills.groupBy("currency").agg(total_of("bill_total").alias("total"))
    for row in totals.orderBy("currency").collect():
        print(row.currency, f"{row.total:f}")
    print(bills.count(), "bills")


if __name__ == "__main__":
    main()
