"""The data directory is lost while tills sell, and restored to a second named in advance."""

import contextlib
import datetime
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fynlo.ops.roles import role_drift
from tests.ops.backup.conftest import House, Tills, s3
from tests.ops.clusters import Cluster

pytestmark = pytest.mark.timeout(600)

Acknowledged = list[dict[str, Any]]
NOT_FENCED = """
    SELECT c.relname FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'restaurant_id'
     WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
       AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
"""
EPOCHS = "SELECT epoch FROM events_streamhead"


def test_nothing_acknowledged_is_lost_with_the_disk(
    house: House, tills: Tills, bucket: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with log_kept(house) as received:
        dump = house.must("backup", "--kind", "logical", **bucket)["backup"]
        full = house.must("backup", "--kind", "full", **bucket)["backup"]
        incr = house.must("backup", "--kind", "incr", **bucket)["backup"]
        named = sell_past_a_named_second()
        epochs = {row for row in house.rows(EPOCHS)}
        lost_at = lose_everything(house, tills)
    acknowledged = tills.stop()
    by_named = [told for told in acknowledged if told["answered"] <= named.timestamp()]
    after_named = [told for told in acknowledged if told["asked"] > named.timestamp()]
    assert len(by_named) > 20
    assert after_named

    begin = time.monotonic()
    data = restore(house, incr["id"], "--to-time", f"{named:%Y-%m-%dT%H:%M:%SZ}", wal=received)
    seconds = time.monotonic() - begin
    with running(house, data) as connection:
        assert missing(connection, by_named) == []
        assert len(missing(connection, after_named)) == len(after_named)
        assert taken(connection, by_named) == expected_to_be_taken(by_named)
        assert connection.execute(NOT_FENCED).fetchall() == []
        assert role_drift(connection, "fynlo") == []
        assert epochs.isdisjoint(connection.execute(EPOCHS).fetchall())

    with running(house, restore(house, full["id"], wal=house.backups / "wal")) as connection:
        lost = missing(connection, acknowledged)
    seconds_lost = lost_at - min((told["answered"] for told in lost), default=lost_at)
    assert seconds_lost <= 60

    data = restore(house, full["id"], wal=received)
    with running(house, data) as connection:
        assert missing(connection, acknowledged) == []
        assert taken(connection, acknowledged) == expected_to_be_taken(acknowledged)
    with capsys.disabled():
        print(
            f"\nRestore drill: {len(acknowledged)} orders, payments and closings acknowledged. To the "
            f"second named in advance in {seconds:.1f} s, from {full['bytes'] + incr['bytes']:,} bytes and "
            f"the log (the dump has {dump['bytes']:,}): none of {len(by_named)} missing. With the log kept "
            f"0 lost; with the archive alone {len(lost)}, of the last {seconds_lost:.1f} s."
        )
    names = {f"backups/{backup['id']}/backup.json" for backup in (dump, full, incr)}
    client, name = s3(bucket["BACKUP_S3_ENDPOINT"]), bucket["BACKUP_S3_BUCKET"]
    assert names <= {item["Key"] for item in client.list_objects_v2(Bucket=name)["Contents"]}

    go_on(house, data)
    assert Tills(house).stop()


@contextlib.contextmanager
def log_kept(house: House) -> Iterator[Path]:
    """Every commit waits until pg_receivewal has it on its disk, which is another one."""
    received = house.directory / "received"
    received.mkdir()
    program = Path(house.environment["PATH"].partition(":")[0]) / "pg_receivewal"
    url = f"{house.cluster.url('fynlo_backup')} application_name=fynlo_wal"
    command = [program, f"--directory={received}", f"--dbname={url}", "--slot=fynlo_wal"]
    subprocess.run([*command, "--create-slot"], check=True)
    receiver = subprocess.Popen([*command, "--synchronous"], stderr=subprocess.DEVNULL)
    house.processes.append(receiver)
    with house.cluster.connect() as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'fynlo_wal'")
        admin.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 60
        while not admin.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    try:
        yield received
    finally:
        receiver.terminate()
        receiver.wait()


def sell_past_a_named_second() -> datetime.datetime:
    now = datetime.datetime.now(datetime.UTC)
    named = now.replace(microsecond=0) + datetime.timedelta(seconds=4)
    time.sleep(named.timestamp() + 4 - time.time())
    return named


def lose_everything(house: House, tills: Tills) -> float:
    """kill -9, and the disk with it, while tills sell."""
    assert tills.process.poll() is None
    server = house.cluster.process
    assert server
    server.kill()
    lost_at = time.time()
    server.wait()
    house.cluster.process = None
    shutil.rmtree(house.cluster.data)
    tills.process.wait(timeout=60)
    return lost_at


def restore(house: House, backup_id: str, *options: str, wal: Path) -> Path:
    """As on a new machine, with the write-ahead log from one place. Answers the data directory."""
    place = house.directory / f"machine-{time.monotonic_ns()}"
    place.mkdir(mode=0o755)
    (place / "backups").symlink_to(house.backups / "backups")
    (place / "wal").symlink_to(wal)
    house.must(
        *("restore", backup_id, "--data-directory", str(place / "data"), *options),
        BACKUP_DIR=str(place),
        BACKUP_AGE_IDENTITY=house.identity,
    )
    return place / "data"


@contextlib.contextmanager
def running(house: House, data: Path) -> Iterator[psycopg.Connection]:
    """The server started on a restored directory, as its owner would, archiving nothing for now."""
    (data / "postgresql.auto.conf").write_text("archive_mode = off\nsynchronous_standby_names = ''\n")
    cluster = Cluster(house.directory)
    cluster.data = data
    cluster.start()
    try:
        with cluster.connect("fynlo") as connection:
            yield connection
    finally:
        cluster.stop()


def go_on(house: House, data: Path) -> None:
    """The restored directory takes the place of the lost one."""
    (data / "postgresql.auto.conf").write_text("")
    data.rename(house.cluster.data)
    house.cluster.start()


def missing(connection: psycopg.Connection, acknowledged: Acknowledged) -> Acknowledged:
    """What was acknowledged and is not in the database."""
    queries = {
        "order": "SELECT id FROM orders_order",
        "close": "SELECT id FROM orders_order WHERE status = 'closed'",
        "payment": "SELECT id FROM payments_paymentintent WHERE state = 'paid'",
    }
    found = {
        what: {str(row_id) for (row_id,) in connection.execute(query)} for what, query in queries.items()
    }
    return [told for told in acknowledged if told["id"] not in found[told["what"]]]


def taken(connection: psycopg.Connection, acknowledged: Acknowledged) -> Counter[int]:
    """What the restored database says was taken, of the payments acknowledged, by restaurant."""
    ids = [told["id"] for told in acknowledged if told["what"] == "payment"]
    query = """
        SELECT restaurant_id, sum(captured_minor)::bigint FROM payments_paymentintent
         WHERE id = ANY(%s::uuid[]) GROUP BY 1
    """
    return Counter(dict(connection.execute(query, [ids]).fetchall()))


def expected_to_be_taken(acknowledged: Acknowledged) -> Counter[int]:
    sums: Counter[int] = Counter()
    for told in acknowledged:
        if told["what"] == "payment":
            sums[told["restaurant"]] += told["amount"]
    return sums
