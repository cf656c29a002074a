"""Before a release: is this place fit for it."""

import datetime
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import redis
from django.conf import settings
from django.core import checks as django_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils import timezone

from fynlo.env import DEVELOPMENT_SEAL_KEY, read_env
from fynlo.ops.backup import catalogue
from fynlo.ops.command import Exit
from fynlo.ops.models import OpsRun
from fynlo.ops.schema.lint import lint
from fynlo.ops.schema.plan import before_contract, is_contract, is_gated, label, pending
from fynlo.ops.schema.verify import catalogue_problems
from fynlo.redis_servers import connect

from . import Checklist, Failed, Skipped

BEFORE = Checklist()

LEAST_FREE = 0.20  # of a disk
NEWEST_BACKUP = datetime.timedelta(hours=26)  # one a day, and two hours for it to run late
NEWEST_RESTORE = datetime.timedelta(days=8)  # one a week, and a day
MOST_CONNECTIONS = 0.80  # of what the server allows
OTHER_CONNECTIONS = 6  # migrations, backups, exporters and a person


@dataclass(frozen=True)
class Context:
    """Where deploy/bin keeps its state; it is not there inside a container."""

    state: Path


@BEFORE.check("environment", "The environment is complete and says production")
def environment(context: Context) -> str:
    try:
        env = read_env()
    except ImproperlyConfigured as error:
        raise Failed(str(error)) from None
    if env.environment != "production":
        raise Skipped(f"ENVIRONMENT is {env.environment}, so little is demanded of it")
    return f"{env.base_url}, as {env.db_role}"


@BEFORE.check("secrets", "Every secret is its own, and none is the public one of development")
def secrets(context: Context) -> str:
    env = settings.ENV
    kept = [env.secret_key, *env.people.jwt_keys, *env.people.owner_keys, *env.payments.seal_keys]
    if not settings.PRODUCTION and DEVELOPMENT_SEAL_KEY in kept:
        raise Skipped("this is not production, and has the keys of development")
    if twice := [secret for secret, times in Counter(kept).items() if times > 1]:
        raise Failed(f"{len(twice)} secrets are used for two purposes: see generate_secrets")
    old = len(env.secret_key_fallbacks) + len(env.people.jwt_keys) - 1
    old += len(env.people.owner_keys) + len(env.payments.seal_keys) - 2
    return f"{len(kept)} different ones" + (
        f"; {old} old ones to finish (rotate_secret --finish)" if old else ""
    )


# All subdomains and preloading: the last step of HSTS, which nobody can take back (see HSTS_SECONDS).
RAMPING = {"security.W005", "security.W021"}


@BEFORE.check("django", "Django's own deployment checks pass")
def django(context: Context) -> str:
    if not settings.PRODUCTION:
        raise Skipped("they ask for what only production has")
    found = django_checks.run_checks(include_deployment_checks=True)
    serious = [
        message
        for message in found
        if message.level >= django_checks.WARNING and not message.is_silenced() and message.id not in RAMPING
    ]
    if serious:
        raise Failed("; ".join(sorted(f"{message.id}: {message.msg}" for message in serious)))
    return "no warning"


ROLES = """
    SELECT rolname, rolsuper, rolbypassrls FROM pg_roles
     WHERE rolname LIKE 'fynlo\\_%' AND (rolsuper OR rolbypassrls) AND rolname <> 'fynlo_backup'
"""
ROLES_THERE = "SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s)"


@BEFORE.check("roles", "No login but the backup's may step over row security")
def roles(context: Context) -> str:
    from fynlo.ops.roles import ROLE_NAMES

    with connection.cursor() as cursor:
        cursor.execute(ROLES)
        unsafe = [name for name, _, _ in cursor.fetchall()]
        cursor.execute(ROLES_THERE, [list(ROLE_NAMES)])
        (there,) = cursor.fetchone()
    if unsafe:
        raise Failed(f"{', '.join(unsafe)} may step over row security: run bootstrap_roles")
    if there != len(ROLE_NAMES):
        raise Failed(f"only {there} of {len(ROLE_NAMES)} roles exist: run bootstrap_roles")
    return f"{there} roles"


@BEFORE.check("schema", "Row security is forced on every restaurant's table; no index is invalid")
def schema(context: Context) -> str:
    if problems := catalogue_problems():
        raise Failed(f"{len(problems)} problems, first: {problems[0]} (verify_migration lists them)")
    return "as it must be"


@BEFORE.check(
    "migrations", "What this release migrates is safe, and nothing waits behind a contract migration"
)
def migrations(context: Context) -> str:
    plan = pending()
    safe = before_contract(plan)
    left = plan[len(safe) :]
    stuck = [migration for migration in left if not is_contract(migration)]
    if stuck:
        raise Failed(
            f"{label(stuck[0])} waits behind {label(left[0])}: run migrate_safely --phase contract once the "
            "release before last is gone, then deploy"
        )
    findings = [finding for migration in plan if is_gated(migration) for finding in lint(migration)]
    if findings:
        raise Failed(f"{len(findings)} findings, first: {findings[0]}")
    waiting = f"; for the next release: {', '.join(map(label, left))}" if left else ""
    return f"{len(safe)} to apply{waiting}"


@BEFORE.check("disk", "A fifth of every disk is free")
def disk(context: Context) -> str:
    env = settings.ENV
    places = {place for place in (str(settings.BASE_DIR), env.backup.directory, env.media.root) if place}
    free = {}
    for place in places:
        if Path(place).exists():  # not every container has every disk
            usage = shutil.disk_usage(place)
            free[place] = usage.free / usage.total
    low = {place: share for place, share in free.items() if share < LEAST_FREE}
    if low:
        raise Failed("; ".join(f"{place}: {share:.0%} free" for place, share in low.items()))
    return "; ".join(f"{place}: {share:.0%} free" for place, share in sorted(free.items()))


@BEFORE.check("backup", "A backup is a day old at most, and one was restored and compared within eight days")
def backup(context: Context) -> str:
    made, restored = _latest_run("backup"), _restored_at()
    if not settings.PRODUCTION and not made:
        raise Skipped("this is not production, and nothing was backed up yet")
    if not made or made < timezone.now() - NEWEST_BACKUP:
        raise Failed(f"the last backup was {_ago(made)}: run deploy/bin/backup-production.sh")
    if not restored or restored < timezone.now() - NEWEST_RESTORE:
        raise Failed(
            f"the last restore to compare was {_ago(restored)}: run the restore drill where the key is, "
            "or verify_backup --latest --restore"
        )
    return f"backup {_ago(made)}, restored and compared {_ago(restored)}"


def _restored_at() -> datetime.datetime | None:
    """By a run here, or by the mark that a drill on another machine left beside the backup."""
    moments = [_latest_run("verify_backup", "restored and compared")]
    if settings.ENV.backup.directory and Path(settings.ENV.backup.directory).exists():
        moments += catalogue.latest()["verified"].values()
    return max((moment for moment in moments if moment), default=None)


def _latest_run(command: str, saying: str = "") -> datetime.datetime | None:
    runs = OpsRun.objects.filter(command=command, exit_code=Exit.OK.value, message__contains=saying)
    # Only what is needed: this also runs while the release's own migrations are still to come.
    return runs.order_by("-ended_at").values_list("ended_at", flat=True).first()


def _ago(moment: datetime.datetime | None) -> str:
    if moment is None:
        return "never"
    hours = (timezone.now() - moment).total_seconds() / 3600
    return f"{hours:.0f} h ago" if hours < 72 else f"{hours / 24:.0f} days ago"


@BEFORE.check("way-back", "There is a release to go back to")
def way_back(context: Context) -> str:
    if not context.state.is_dir():
        raise Skipped(f"{context.state} is not seen from here; deploy/bin keeps the colour before stopped")
    remembered = {
        name: path.read_text().strip()
        for name in ("active", "blue", "green")
        if (path := context.state / name).exists()
    }
    active = remembered.get("active", "")
    if not active:
        raise Skipped("nothing was deployed from here yet")
    if not remembered.get(active):
        raise Failed(f"{context.state} does not know the version of {active}, which serves")
    return f"{remembered[active]} serves as {active}: it stays, stopped, when the new one has taken over"


@BEFORE.check("redis", "The queue's Redis drops nothing, the cache's may, and both answer")
def redis_roles(context: Context) -> str:
    queue = _memory_of(settings.REDIS_URL, "the queue's Redis")
    cache = _memory_of(settings.REDIS_CACHE_URL, "the cache's Redis")
    if queue["maxmemory_policy"] != "noeviction":
        raise Failed(
            f"the queue's Redis has {queue['maxmemory_policy']}: it would drop tasks; set noeviction"
        )
    if settings.PRODUCTION and queue["run_id"] == cache["run_id"] and not settings.REDIS_SINGLE:
        raise Failed("queue and cache are the same Redis: see REDIS_CACHE_URL")
    return f"queue {queue['maxmemory_policy']}, cache {cache['maxmemory_policy']}"


def _memory_of(url: str, name: str) -> dict[str, str]:
    try:
        with connect(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return {
                "maxmemory_policy": client.info("memory")["maxmemory_policy"],
                "run_id": client.info("server")["run_id"],
            }
    except redis.RedisError as error:
        raise Failed(f"{name} does not answer: {error}") from None


@BEFORE.check("connections", "All pools together fit into the database, while two colours run")
def connections(context: Context) -> str:
    if settings.ENV.db_transaction_pooling:
        raise Skipped("pgbouncer stands in front and has its own limit")
    pools = pool_count()
    wanted = sum(pools.values()) * settings.ENV.db_pool_max + OTHER_CONNECTIONS
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('max_connections')::int")
        (allowed,) = cursor.fetchone()
    each = f"{sum(pools.values())} pools of {settings.ENV.db_pool_max} and {OTHER_CONNECTIONS} others"
    told = f"{each}: {wanted} of {allowed}"
    if wanted > allowed * MOST_CONNECTIONS:
        raise Failed(
            f"{told}, more than {MOST_CONNECTIONS:.0%}: lower DB_POOL_MAX, or put pgbouncer in front"
        )
    return told


def pool_count() -> dict[str, int]:
    """How many processes have a pool while one colour takes over from the other."""
    web = int(os.environ.get("WEB_CONCURRENCY", "2"))
    return {"web": 2 * web, "ws": 2, "platform": 1, "worker": 1, "beat": 1, "backup": 1}


BEFORE.ask("tests", "The tests passed for this very commit (script/cibuild, or the workflow of its tag)")
BEFORE.ask("scan", "bandit, pip-audit and the scan of the image found nothing new")
BEFORE.ask(
    "rehearsal", "Migrations that change rows ran on a restored copy (verify_backup --restore makes one)"
)
BEFORE.ask("benchmark", "script/bench is no slower than for the release before")
BEFORE.ask("docs", "Documentation and release notes say what changes for people")
BEFORE.ask("stakeholders", "Restaurants and support know when it happens")
