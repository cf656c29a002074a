"""Behind pgbouncer in transaction mode, where sessions are shared, the fence holds as without it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.databases import ROOT, role_url

subprocess.run([ROOT / "script/tools", "pool"], check=False)
PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
SESSIONS = 3  # of Postgres, for any number of clients
ISOLATION = [
    "tests/tenancy/test_scope.py",
    "tests/tenancy/test_attack.py",
    "tests/tenancy/test_platform_scope.py",
]

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here: script/tools pool")

CONFIGURATION = """\
[databases]
* = {server}
[pgbouncer]
listen_addr =
unix_socket_dir = {directory}
listen_port = 6432
auth_type = trust
auth_file = {directory}/users.txt
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
max_db_connections = 6
stats_users = fynlo_app
logfile = {directory}/pgbouncer.log
"""


@pytest.fixture(scope="module")
def pooler() -> Iterator[dict[str, str]]:
    """A pgbouncer in front of the tests' server; yields the environment that sends clients through it."""
    server = conninfo_to_dict(os.environ["TEST_ADMIN_DATABASE_URL"])
    password = os.environ.get("TEST_ROLE_PASSWORD", "")
    with tempfile.TemporaryDirectory(prefix="fynlo-pool-") as name:
        directory = Path(name)
        place = " ".join(f"{key}={server[key]}" for key in ("host", "port") if server.get(key))
        text = CONFIGURATION.format(server=place, directory=directory, sessions=SESSIONS)
        (directory / "pgbouncer.ini").write_text(text)
        users = "".join(f'"fynlo_{role}" "{password}"\n' for role in ("app", "platform"))
        (directory / "users.txt").write_text(users)
        owner = os.stat(server["host"]) if str(server.get("host", "")).startswith("/") else os.stat(ROOT)
        for path in (directory, *directory.iterdir()):
            os.chown(path, owner.st_uid, owner.st_gid)
        process = subprocess.Popen(
            [str(PGBOUNCER), str(directory / "pgbouncer.ini")],
            user=owner.st_uid,
            group=owner.st_gid,
            extra_groups=[] if os.geteuid() == 0 else None,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 20
            while not (directory / ".s.PGSQL.6432").exists():
                assert process.poll() is None, (directory / "pgbouncer.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield {
                "TEST_POOLER_HOST": str(directory),
                "TEST_POOLER_PORT": "6432",
                "DATABASE_URL": make_conninfo(role_url("app", ""), host=name, port=6432),
                "DB_TRANSACTION_POOLING": "1",
            }
        finally:
            process.terminate()
            process.wait(timeout=10)


def through(pooler: dict[str, str], database: str) -> psycopg.Connection:
    url = role_url("app", database)
    parts = {**conninfo_to_dict(url), "host": pooler["TEST_POOLER_HOST"], "port": pooler["TEST_POOLER_PORT"]}
    return psycopg.connect(**parts, autocommit=True, prepare_threshold=None)


def transactions(pooler: dict[str, str]) -> int:
    """How many went through the pooler so far."""
    with through(pooler, "pgbouncer") as console, console.cursor() as cursor:
        rows = cursor.execute("SHOW STATS_TOTALS").fetchall()
        names = [column.name for column in cursor.description or ()]
    return sum(row[names.index("xact_count")] for row in rows)


def test_sessions_really_are_shared_and_a_session_setting_would_leak(pooler, test_database):
    """Without this the tests below would prove nothing."""
    with through(pooler, test_database) as one:
        one.execute("SET app.restaurant_id = '7'")
    clients = [through(pooler, test_database) for _ in range(10)]
    try:
        seen = [c.execute("SELECT current_setting('app.restaurant_id', true)").fetchone() for c in clients]
        assert seen == [("7",)] * 10
        clients[0].execute("RESET app.restaurant_id")
    finally:
        for client in clients:
            client.close()


def test_what_a_transaction_set_is_gone_with_it(pooler, test_database, restaurant, other_restaurant):
    def look(client: psycopg.Connection, own: int) -> set[int]:
        with client.transaction():
            client.execute("SELECT set_config('app.restaurant_id', %s, true)", [str(own)])
            rows = client.execute("SELECT DISTINCT restaurant_id FROM restaurants_menuitem").fetchall()
        assert client.execute("SELECT count(*) FROM restaurants_menuitem").fetchone() == (0,)
        return {restaurant_id for (restaurant_id,) in rows}

    def work(own: int) -> bool:
        with through(pooler, test_database) as client:
            return all(look(client, own) == {own} for _ in range(50))

    owns = [restaurant.pk, other_restaurant.pk] * 8
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, owns)) == [True] * 16


def test_the_isolation_tests_pass_behind_it(pooler):
    before = transactions(pooler)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *ISOLATION],
        cwd=ROOT,
        env=env | pooler,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "skipped" not in done.stdout
    assert transactions(pooler) - before > 1000
