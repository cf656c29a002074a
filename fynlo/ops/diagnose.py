"""What is going on, for somebody who was woken by an alarm. Reads only."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from fynlo.events.poke import CHANNEL
from fynlo.ops.checks import Failed
from fynlo.ops.checks.after import Context, websocket
from fynlo.ops.models import OpsRun
from fynlo.redis_servers import connect

Say = Callable[[str], None]
Found = tuple[dict[str, Any], list[str]]  # what was found, and what of it is wrong

IDLE_SECONDS = 60
LONG_SECONDS = 60
FULL = 0.8
QUEUES = ("celery", "backup")
LONG_QUEUE = 100
OLD_PAYMENT = datetime.timedelta(minutes=10)
OLD_REFUND = datetime.timedelta(days=5)
DISPUTE_SOON = datetime.timedelta(days=3)


def _rows(query: str, params: list[Any] | None = None) -> list[dict[str, Any]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(query, params or [])
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _row(query: str, params: list[Any] | None = None) -> dict[str, Any]:
    return _rows(query, params)[0]


# --- the database

SESSIONS = """
    SELECT coalesce(usename, backend_type) AS who, coalesce(state, 'hidden') AS state, count(*) AS number
      FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1, 2 ORDER BY 3 DESC, 1
"""
USE = """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
           current_setting('max_connections')::int AS allowed,
           pg_size_pretty(pg_database_size(current_database())) AS size,
           (SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND query = '<insufficient privilege>') AS hidden
"""
LONG = """
    SELECT pid, usename AS who, application_name AS program, state,
           extract(epoch FROM now() - xact_start)::int AS seconds, left(query, 100) AS query
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
       AND (state = 'idle in transaction' AND state_change < now() - make_interval(secs => %s)
            OR state = 'active' AND query_start < now() - make_interval(secs => %s))
     ORDER BY xact_start LIMIT 10
"""
WAITING = """
    SELECT a.pid, a.usename AS who, pg_blocking_pids(a.pid) AS waits_for,
           extract(epoch FROM now() - l.waitstart)::int AS seconds, l.relation::regclass::text AS relation
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE NOT l.granted AND a.datname = current_database() ORDER BY l.waitstart LIMIT 10
"""
BLOATED = """
    SELECT relname AS table, n_dead_tup AS dead, n_live_tup AS live, last_autovacuum
      FROM pg_stat_user_tables WHERE n_dead_tup > 10000 AND n_dead_tup > n_live_tup / 5
     ORDER BY n_dead_tup DESC LIMIT 5
"""


def diagnose_db() -> Found:
    found = {
        **_row(USE),
        "sessions": _rows(SESSIONS),
        "long": _rows(LONG, [IDLE_SECONDS, LONG_SECONDS]),
        "waiting": _rows(WAITING),
        "unvacuumed": _rows(BLOATED),
    }
    problems = []
    if found["used"] > found["allowed"] * FULL:
        problems.append(f"{found['used']} of {found['allowed']} connections are used")
    for session in found["long"]:
        problems.append(
            f"pid {session['pid']} ({session['who']}) is {session['state']} for {session['seconds']} s; to "
            f"end it: SELECT pg_terminate_backend({session['pid']})"
        )
    for session in found["waiting"]:
        blockers = ", ".join(map(str, session["waits_for"]))
        what = session["relation"] or "a row"
        problems.append(
            f"pid {session['pid']} ({session['who']}) waits {session['seconds']} s for {what}, "
            f"which pid {blockers} holds"
        )
    for table in found["unvacuumed"]:
        problems.append(
            f"{table['table']}: {table['dead']:,} dead rows: is autovacuum held up by an old transaction?"
        )
    return found, problems


# --- memory

PAGES = {"VmRSS": "resident", "VmHWM": "highest", "VmSwap": "swapped"}


def diagnose_memory() -> Found:
    """This container's processes, by /proc: each container is looked at by itself."""
    processes = [found for path in Path("/proc").glob("[0-9]*") if (found := _process(path))]
    processes.sort(key=lambda process: process["resident_mb"], reverse=True)
    memory = _memory()
    found = {"machine": memory, "cgroup": _cgroup(), "processes": processes[:15]}
    problems = []
    if memory["available_mb"] < memory["total_mb"] * 0.1:
        problems.append(f"only {memory['available_mb']} of {memory['total_mb']} MB are available")
    limit, used = found["cgroup"].get("limit_mb"), found["cgroup"].get("used_mb", 0)
    if limit and used > limit * 0.9:
        problems.append(f"this container uses {used} of its {limit} MB")
    problems += [
        f"process {process['pid']} ({process['command']}) has {process['swapped_mb']} MB swapped out"
        for process in processes
        if process["swapped_mb"] > 100
    ]
    return found, problems


def _process(path: Path) -> dict[str, Any] | None:
    try:
        status = dict(
            line.split(":", 1) for line in (path / "status").read_text().splitlines() if ":" in line
        )
        command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (OSError, ValueError):  # it has just ended
        return None
    if "VmRSS" not in status:  # the kernel's own
        return None
    sizes = {f"{name}_mb": int(status.get(key, "0 kB").split()[0]) // 1024 for key, name in PAGES.items()}
    return {"pid": int(path.name), "command": _without_secrets(command), **sizes}


def _without_secrets(command: str) -> str:
    """The program and its first words: what follows may be a URL with a password."""
    return " ".join(word for word in command.split()[:6] if "://" not in word and "=" not in word)[:80]


def _memory() -> dict[str, int]:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    names = {"MemTotal": "total_mb", "MemAvailable": "available_mb", "SwapTotal": "swap_mb"}
    return {name: int(lines[key].split()[0]) // 1024 for key, name in names.items()}


def _cgroup() -> dict[str, int]:
    found = {}
    for name, file in (("used_mb", "memory.current"), ("limit_mb", "memory.max")):
        try:
            text = Path("/sys/fs/cgroup", file).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            found[name] = int(text) // 1024**2
    return found


# --- Redis


def diagnose_redis() -> Found:
    places = {"queue": settings.REDIS_URL, "cache": settings.REDIS_CACHE_URL}
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, url in places.items():
        try:
            found[name] = _redis(url, name)
        except redis.RedisError as error:
            found[name] = {"answers": False}
            problems.append(f"the {name}'s Redis does not answer: {error}")
            continue
        problems += _redis_problems(name, found[name])
    return found, problems


def _redis(url: str, name: str) -> dict[str, Any]:
    with connect(url, socket_timeout=2, socket_connect_timeout=2) as client:
        memory, stats, clients = client.info("memory"), client.info("stats"), client.info("clients")
        kept = client.info("persistence")
        answer: dict[str, Any] = {
            "answers": True,
            "used_mb": memory["used_memory"] // 1024**2,
            "limit_mb": memory["maxmemory"] // 1024**2,
            "policy": memory["maxmemory_policy"],
            "evicted": stats["evicted_keys"],
            "rejected": stats["rejected_connections"],
            "clients": clients["connected_clients"],
            "appends": bool(kept.get("aof_enabled")),
            "last_write_ok": kept.get("aof_last_write_status", "ok") == "ok",
        }
        if name == "queue":
            answer["tasks"] = {queue: client.llen(queue) for queue in QUEUES}
            answer["taken"] = client.zcard("unacked_index")
        return answer


def _redis_problems(name: str, found: dict[str, Any]) -> list[str]:
    problems = []
    if found["limit_mb"] and found["used_mb"] > found["limit_mb"] * FULL:
        problems.append(f"the {name}'s Redis has {found['used_mb']} of {found['limit_mb']} MB in use")
    if name == "queue" and found["policy"] != "noeviction":
        problems.append(f"the queue's Redis has {found['policy']}: it drops tasks when full")
    if name == "queue" and found["evicted"]:
        problems.append(f"the queue's Redis has dropped {found['evicted']} keys: tasks may be lost")
    if not found["last_write_ok"]:
        problems.append(f"the {name}'s Redis cannot write to its disk: is it full?")
    for queue, length in found.get("tasks", {}).items():
        if length > LONG_QUEUE:
            problems.append(f"{length} tasks wait in {queue}: is its worker up?")
    return problems


# --- payments

WATCHED = "SELECT * FROM definer.watch_payments()"
DEADLINES = "SELECT * FROM definer.watch_deadlines()"


def diagnose_payments() -> Found:
    figures = _rows(WATCHED) + _rows(DEADLINES)
    problems = []
    for figure in figures:
        age = datetime.timedelta(seconds=figure["seconds"] or 0)
        if figure["figure"] == "open" and age > OLD_PAYMENT:
            problems.append(
                f"{figure['number']} attempts at {figure['provider']} are {figure['state']}, the oldest for "
                f"{_span(age)}: is beat running, and does the provider answer?"
            )
        if figure["figure"] == "webhooks" and figure["state"] == "dead":
            problems.append(f"{figure['number']} webhooks were given up: replay_webhooks takes them up again")
        if figure["figure"] == "webhooks" and figure["state"] == "new" and age > OLD_PAYMENT:
            problems.append(
                f"{figure['number']} webhooks wait, the oldest for {_span(age)}: is the worker up?"
            )
        if figure["figure"] == "refunds" and age > OLD_REFUND:
            problems.append(
                f"{figure['number']} refunds by {figure['provider']} are on their way, the oldest for "
                f"{_span(age)}: ask the provider"
            )
        if figure["figure"] == "disputes" and age < DISPUTE_SOON:
            problems.append(
                f"{figure['number']} disputes at {figure['provider']} wait for an answer, the next is due in "
                f"{_span(age)}"
            )
    runs = {}
    for command in ("verify_journal", "reconcile_payments"):
        run = OpsRun.objects.filter(command=command).order_by("-ended_at").first()
        runs[command] = (
            {"exit": run.exit_code, "ended_at": run.ended_at, "message": run.message} if run else None
        )
        if run and run.exit_code:
            problems.append(
                f"{command} last ended with {run.exit_code}, {_since(run.ended_at)} ago: {run.message}"
            )
    return {"figures": figures, "runs": runs}, problems


def _span(age: datetime.timedelta) -> str:
    minutes = age.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _since(moment: datetime.datetime) -> str:
    return _span(timezone.now() - moment)


# --- websockets


def diagnose_websockets() -> Found:
    """Whether a socket can be opened, and how many processes listen for what wakes their screens."""
    found: dict[str, Any] = {}
    problems = []
    context = Context(base_url=settings.BASE_URL)
    try:
        found["handshake"] = websocket(context)
    except Failed as error:
        found["handshake"] = None
        problems.append(f"no websocket can be opened: {error}")
    try:
        with connect(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            ((_, found["listeners"]),) = client.pubsub_numsub(CHANNEL)
    except redis.RedisError as error:
        found["listeners"] = None
        problems.append(f"Redis does not answer, so screens hear of changes a second late: {error}")
    return found, problems


TOPICS: dict[str, Callable[[], Found]] = {
    "db": diagnose_db,
    "memory": diagnose_memory,
    "payments": diagnose_payments,
    "redis": diagnose_redis,
    "websockets": diagnose_websockets,
}
