"""Reads a lake with tools that are not Ayumi's, and prints what they found as JSON.

    python3 tests/lake_readers.py LAKE            the Delta tables, with deltalake and DuckDB
    python3 tests/lake_readers.py --export DIR    an export's Parquet files, with DuckDB alone

It needs the packages of tests/lake_readers.txt. The result has, for each table, its rows; the points of each
(programme, rule) in `entries`, summed by DuckDB; and the samples of `facts_uploads`. A test holds it against
`ayumi sql`. Nothing is written.
"""

import json
import pathlib
import sys

import duckdb


def delta_tables(lake):
    """Every folder of the lake that is a Delta table, as an Arrow dataset: files that no longer count are left out."""
    from deltalake import DeltaTable

    for log in sorted(pathlib.Path(lake).glob("*/_delta_log")):
        yield log.parent.name, DeltaTable(str(log.parent)).to_pyarrow_dataset()


def parquet_tables(folder):
    """Every file of an export, as DuckDB reads it."""
    for file in sorted(pathlib.Path(folder).glob("*.parquet")):
        yield file.stem, duckdb.read_parquet(str(file))


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--export":
        tables = dict(parquet_tables(arguments[1]))
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        tables = dict(delta_tables(arguments[0]))
    else:
        sys.exit(__doc__)
    if "entries" not in tables:
        sys.exit(f"there is no table entries in {arguments[-1]}: give the folder of a lake, or --export and an export's")

    connection = duckdb.connect()
    for name, table in tables.items():
        if isinstance(table, duckdb.DuckDBPyRelation):
            connection.read_parquet(str(pathlib.Path(arguments[-1]) / f"{name}.parquet")).create_view(name)
        else:
            connection.register(name, table)

    def query(sql):
        return connection.execute(sql).fetchall()

    points = query(
        "SELECT programme, rule, CAST(sum(points) AS BIGINT) FROM entries GROUP BY programme, rule ORDER BY programme, rule"
    )
    samples = query("SELECT coalesce(CAST(sum(len(samples)) AS BIGINT), 0) FROM facts_uploads")[0][0]
    result = {
        "rows": {name: query(f"SELECT count(*) FROM {name}")[0][0] for name in tables},
        "points": [{"programme": programme, "rule": rule, "points": total} for programme, rule, total in points],
        "samples": samples,
    }
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
