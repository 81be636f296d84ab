"""``python -m cluster.mlflow_schema``: brings MLflow's database to the schema of the MLflow that is installed.

MLflow's server makes the tables of an empty database itself, guarded by a lock on its own disk, and refuses to start
on an older schema. Replicas on several nodes need a shared lock, here PostgreSQL's: the first one does
the work and the others find it done. Run by the init container of ``cluster/base/mlflow``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mlflow.store.db import utils
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

VARIABLE = "MLFLOW_BACKEND_STORE_URI"
LOCK = 0x7469646567617465
"""Key of the advisory lock: "tidegate" in ASCII."""


def bring_up_to_date(uri: str, *, wait_s: float) -> None:
    """Creates the tables, or migrates those that are there; changes nothing where the schema is right.

    Args:
        uri: SQLAlchemy address. On PostgreSQL callers wait for each other; elsewhere there must be only one.
        wait_s: seconds to wait for another caller.

    Raises:
        ModuleNotFoundError: the address names a driver that is not installed.
        TimeoutError: another caller held the lock all that time.
    """
    engine = utils.create_sqlalchemy_engine_with_retry(uri)  # type: ignore[no-untyped-call]
    try:
        with _exclusively(engine, wait_s):
            if utils._is_empty_database(engine):  # type: ignore[no-untyped-call]
                utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
            else:
                utils._upgrade_db(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


@contextmanager
def _exclusively(engine: Engine, wait_s: float) -> Iterator[None]:
    if engine.dialect.name != "postgresql":
        yield
        return
    # A lock of the session, not of a transaction: this connection holds it while others do the work, and the server
    # releases it when the connection ends, however it ends.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"SET lock_timeout = {int(wait_s * 1000)}"))
        try:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != "55P03":  # lock_not_available
                raise
            raise TimeoutError(f"another process has been changing MLflow's schema for {wait_s:g} s") from None
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
            connection.execute(text("RESET lock_timeout"))  # the connection goes back to the pool


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 the schema is right, 1 another caller took too long, 2 no usable address."""
    parser = argparse.ArgumentParser(prog="python -m cluster.mlflow_schema", description=__doc__)
    parser.add_argument(
        "--wait", type=float, default=600.0, metavar="SECONDS", help="for another caller (default: 600)"
    )
    options = parser.parse_args(argv)
    uri = os.environ.get(VARIABLE)
    if not uri:
        print(f"{VARIABLE} is not set: the SQLAlchemy address of MLflow's database is needed.", file=sys.stderr)
        return 2
    try:
        bring_up_to_date(uri, wait_s=options.wait)
    except ModuleNotFoundError as error:
        # postgresql:// alone is another driver's since SQLAlchemy 2.1. The address is not shown: it has a password.
        print(
            f"{VARIABLE} begins with {uri.partition(':')[0]}://, which needs {error.name}, not installed; "
            "for PostgreSQL postgresql+psycopg2:// is accepted.",
            file=sys.stderr,
        )
        return 2
    except TimeoutError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
