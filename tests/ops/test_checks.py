"""The checklist: every box meets a place that is fit, and one that is not."""

import dataclasses
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.utils import timezone

from fynlo.ops import env_file
from fynlo.ops.checks import Checklist, Failed, Skipped, after, before
from fynlo.ops.checks.after import AFTER
from fynlo.ops.checks.before import BEFORE
from fynlo.ops.checks.page import render
from fynlo.ops.models import OpsRun
from tests.databases import ROOT, database_role, role_url
from tests.processes import free_port, running, wait_until_ready, web_server

Usage = namedtuple("Usage", "total used free")


def run(*arguments):
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command(*arguments, "--json", stdout=out, stderr=err)
    except SystemExit as end:
        code = end.code
    answer = json.loads(out.getvalue())
    return code, answer, {check["name"]: check for check in answer.get("checks", [])}


def look(check, state=None):
    """One check of before.py: what it says, and how."""
    try:
        return "pass", check(before.Context(state=state or ROOT / "nowhere"))
    except Failed as problem:
        return "fail", str(problem)
    except Skipped as reason:
        return "skip", str(reason)


def as_production(settings, **changed):
    env = settings.ENV
    kept = {name: getattr(env, name) for name in ("payments", "people", "backup", "media", "notify")}
    kept |= {name: getattr(env, name) for name in ("secret_key", "secret_key_fallbacks", "db_pool_max")}
    settings.ENV = SimpleNamespace(**(kept | {"db_transaction_pooling": False} | changed))
    settings.PRODUCTION = True


# --- the list itself


def test_a_list_says_pass_fail_and_skip():
    checklist = Checklist()

    @checklist.check("good", "It is good")
    def good(context):
        return f"seen {context}"

    @checklist.check("bad", "It is bad")
    def bad(context):
        raise Failed("mend it")

    @checklist.check("unseen", "It is not seen")
    def unseen(context):
        raise Skipped("not from here")

    checklist.ask("people", "People know")
    told = []
    results = checklist.run("it", told=told.append)
    assert [(r.name, r.status, r.detail) for r in results] == [
        ("good", "pass", "seen it"),
        ("bad", "fail", "mend it"),
        ("unseen", "skip", "not from here"),
        ("people", "skip", "a person knows: --confirm people"),
    ]
    assert told == results
    confirmed = checklist.run("it", confirmed=["people"], told=told.append)
    assert (confirmed[-1].status, confirmed[-1].detail) == ("pass", "confirmed by a person")


def test_the_page_is_current_and_every_box_is_in_it():
    page = (ROOT / "deploy/CHECKLIST.md").read_text()
    assert page == render(), "manage.py check_deploy --page >deploy/CHECKLIST.md"
    assert page.count("- [ ] ") == len(BEFORE.items) + len(AFTER.items) == 31
    for checklist in (BEFORE, AFTER):
        names = [item.name for item in checklist.items]
        assert len(names) == len(set(names))


# --- before


def test_the_command_goes_through_all_and_ends_with_3_when_one_fails(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(100, 50, 50))
    code, answer, checks = run("check_deploy", "--confirm", "tests")
    assert list(checks) == [item.name for item in BEFORE.items]
    assert (checks["tests"]["status"], checks["scan"]["status"]) == ("pass", "skip")
    assert [name for name, check in checks.items() if check["status"] == "fail"] == []
    assert (code, answer["counts"]["fail"]) == (0, 0)
    assert run("check_deploy", "--strict")[0] == 3

    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(100, 81, 19))
    code, answer, checks = run("check_deploy")
    assert (code, checks["disk"]["status"]) == (3, "fail")
    assert answer["message"].endswith("Failed: disk.")


def test_a_disk_needs_a_fifth_free(monkeypatch, settings):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(100, 80, 20))
    assert look(before.disk) == ("pass", f"{ROOT}: 20% free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(100, 81, 19))
    assert look(before.disk) == ("fail", f"{ROOT}: 19% free")


def test_secrets_are_used_once(settings):
    assert look(before.secrets)[0] == "skip"
    one = settings.ENV.payments.seal_keys[0]
    people = SimpleNamespace(jwt_keys=("t1", "t2"), owner_keys=("o",))
    payments = SimpleNamespace(seal_keys=("p",))
    as_production(settings, people=people, payments=payments, secret_key="s", secret_key_fallbacks=())
    assert look(before.secrets) == ("pass", "5 different ones; 1 old ones to finish (rotate_secret --finish)")
    people.owner_keys = ("p",)
    status, detail = look(before.secrets)
    assert (status, detail) == ("fail", "1 secrets are used for two purposes: see generate_secrets")
    assert one not in detail


def test_djangos_own_checks_count(settings):
    assert look(before.django)[0] == "skip"
    as_production(settings)
    settings.SECURE_HSTS_SECONDS = 0
    status, detail = look(before.django)
    assert (status, "security.W004" in detail) == ("fail", True)


def test_roles_that_may_step_over_the_fence_are_found(dba, cluster_roles):
    assert look(before.roles) == ("pass", "9 roles")
    dba.execute("ALTER ROLE fynlo_readonly BYPASSRLS")
    try:
        assert look(before.roles) == (
            "fail",
            "fynlo_readonly may step over row security: run bootstrap_roles",
        )
    finally:
        dba.execute("ALTER ROLE fynlo_readonly NOBYPASSRLS")


def test_a_table_without_its_fence_is_found(dba):
    assert look(before.schema) == ("pass", "as it must be")
    dba.execute("ALTER TABLE orders_order NO FORCE ROW LEVEL SECURITY")
    try:
        status, detail = look(before.schema)
    finally:
        dba.execute("ALTER TABLE orders_order FORCE ROW LEVEL SECURITY")
    assert (status, "Row security of orders_order is not enabled and forced." in detail) == ("fail", True)


def test_a_migration_behind_a_contract_one_is_found(monkeypatch):
    assert look(before.migrations) == ("pass", "0 to apply")
    expand = SimpleNamespace(app_label="sessions", name="0050_more")
    contract = SimpleNamespace(app_label="sessions", name="0049_less", deploy_phase="contract")
    monkeypatch.setattr(before, "pending", lambda: [expand, contract])
    assert look(before.migrations) == ("pass", "1 to apply; for the next release: sessions.0049_less")
    monkeypatch.setattr(before, "pending", lambda: [contract, expand])
    status, detail = look(before.migrations)
    assert (status, detail.startswith("sessions.0050_more waits behind sessions.0049_less")) == ("fail", True)


def ran(command, hours, message=""):
    at = timezone.now() - datetime.timedelta(hours=hours)
    OpsRun.objects.create(command=command, started_at=at, ended_at=at, exit_code=0, message=message)


def leave_mark(folder, *, hours):
    """What list_backups reads: one dump, and that it was restored so many hours ago."""
    at = timezone.now() - datetime.timedelta(hours=hours)
    entry = {
        **{"id": "20261124T030000Z-logical", "kind": "logical", "engine": "logical", "database": "fynlo"},
        **{"started_at": at, "ended_at": at, "server_version": 170000, "version": "1", "git_sha": ""},
        **{"migrations": {}, "files": []},
    }
    for path, document in (
        (f"backups/{entry['id']}/backup.json", entry),
        (f"verified/{entry['id']}.json", {"id": entry["id"], "verified_at": at}),
    ):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(json.dumps(document, default=str))


def test_backups_are_fresh_and_restored(dba, settings, tmp_path):
    dba.execute("DELETE FROM ops_opsrun WHERE command IN ('backup', 'verify_backup')")
    assert look(before.backup) == ("skip", "this is not production, and nothing was backed up yet")
    as_production(settings)
    assert look(before.backup)[1] == "the last backup was never: run deploy/bin/backup-production.sh"
    ran("backup", 27)
    assert look(before.backup)[1] == "the last backup was 27 h ago: run deploy/bin/backup-production.sh"
    ran("backup", 25)
    ran("verify_backup", 1, "x: whole.")  # its files were there, and nobody restored it
    assert look(before.backup) == (
        "fail",
        "the last restore to compare was never: run the restore drill where the key is, "
        "or verify_backup --latest --restore",
    )
    ran("verify_backup", 24 * 9, "x: restored and compared.")
    assert look(before.backup)[0] == "fail"
    ran("verify_backup", 24 * 7, "x: restored and compared.")
    assert look(before.backup) == ("pass", "backup 25 h ago, restored and compared 7 days ago")
    leave_mark(tmp_path, hours=5)  # a drill elsewhere, whose result came back beside the backup
    settings.ENV.backup = dataclasses.replace(settings.ENV.backup, directory=str(tmp_path))
    assert look(before.backup) == ("pass", "backup 25 h ago, restored and compared 5 h ago")
    dba.execute("DELETE FROM ops_opsrun WHERE command IN ('backup', 'verify_backup')")


def test_there_is_a_release_to_go_back_to(tmp_path):
    assert look(before.way_back)[0] == "skip"
    assert look(before.way_back, tmp_path) == ("skip", "nothing was deployed from here yet")
    (tmp_path / "active").write_text("blue\n")
    assert look(before.way_back, tmp_path)[0] == "fail"
    (tmp_path / "blue").write_text("1.4.0\n")
    assert look(before.way_back, tmp_path) == (
        "pass",
        "1.4.0 serves as blue: it stays, stopped, when the new one has taken over",
    )


def test_the_queues_redis_drops_nothing(monkeypatch, settings):
    assert look(before.redis_roles)[0] == "pass"
    as_production(settings)
    assert look(before.redis_roles) == (
        "fail",
        "queue and cache are the same Redis: see REDIS_CACHE_URL",
    )
    settings.REDIS_URL = "redis://127.0.0.1:1"
    status, detail = look(before.redis_roles)
    assert (status, detail.startswith("the queue's Redis does not answer:")) == ("fail", True)
    monkeypatch.setattr(before, "_memory_of", lambda *_: {"maxmemory_policy": "allkeys-lru", "run_id": "1"})
    assert look(before.redis_roles)[1].startswith("the queue's Redis has allkeys-lru: it would drop tasks")


def test_all_pools_together_fit_into_the_database(monkeypatch, settings):
    """In tests the server allows 200: (4 + 2 + 1 + 1 + 1 + 1) pools of 15 and 6 others are 156, of 16 166."""
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    as_production(settings, db_pool_max=15)
    assert look(before.connections) == ("pass", "10 pools of 15 and 6 others: 156 of 200")
    as_production(settings, db_pool_max=16)
    assert look(before.connections)[0] == "fail"
    as_production(settings, db_pool_max=99, db_transaction_pooling=True)
    assert look(before.connections)[0] == "skip"


# --- after


@pytest.fixture(scope="module")
def served(django_db_setup, django_db_blocker):
    """A web process, as the deployment asks it, and a worker."""
    from django.db import connections

    database = str(connections["default"].settings_dict["NAME"])
    with web_server(database, VERSION="7.1.0", COLOUR="green") as url:
        yield url


@pytest.fixture
def context(served, settings):
    settings.BASE_URL = served
    return after.Context(base_url=served, expect_version="7.1.0")


def ask(check, context):
    try:
        return "pass", check(context)
    except Failed as problem:
        return "fail", str(problem)
    except Skipped as reason:
        return "skip", str(reason)


def test_what_serves_says_that_it_is_well_and_which_version_it_is(context):
    assert ask(after.health, context) == ("pass", "ok")
    assert ask(after.version, context) == ("pass", "7.1.0 green")
    context.expect_version = "7.2.0"
    assert ask(after.version, context) == ("fail", "it is 7.1.0, expected 7.2.0")


def test_pages_carry_their_headers_and_are_served(context):
    assert ask(after.headers, context) == ("pass", "4 headers")
    assert ask(after.static, context) == ("pass", "/static/fynlo/page.css")
    assert ask(after.tls, context)[0] == "skip"


@pytest.mark.parametrize("name", sorted(after.HEADERS))
def test_a_header_that_is_missing_is_found(context, monkeypatch, name):
    monkeypatch.setitem(after.HEADERS, name, "something else")
    status, detail = ask(after.headers, context)
    assert (status, detail.startswith(f"{name} is ")) == ("fail", True)


def test_an_unsigned_webhook_is_refused(context):
    assert ask(after.webhook, context) in (
        ("pass", "400"),
        ("skip", "the platform has no Stripe account of its own"),
    )


def test_fifty_calls_are_timed(context, monkeypatch):
    monkeypatch.setattr(after, "SLOWEST", 60.0)
    status, detail = ask(after.speed, context)
    assert (status, detail.startswith("p95 of 50 calls ")) == ("pass", True)
    monkeypatch.setattr(after, "SLOWEST", 0.0)
    assert ask(after.speed, context)[0] == "fail"


def test_nothing_there_fails_every_check_with_a_sentence(settings):
    settings.BASE_URL = "http://127.0.0.1:1"
    nowhere = after.Context(base_url="http://127.0.0.1:1")
    for check in (after.health, after.version, after.headers, after.static, after.speed, after.websocket):
        status, detail = ask(check, nowhere)
        assert (status, "Connection refused" in detail) == ("fail", True)


def test_two_restaurants_do_not_see_each_other(context, restaurant, other_restaurant, dba, settings):
    status, detail = ask(after.fence, context)
    assert (status, detail.endswith("each way, and nobody")) == ("pass", True)
    dba.execute("ALTER TABLE orders_order DISABLE ROW LEVEL SECURITY")
    dba.execute("ALTER TABLE restaurants_restaurant DISABLE ROW LEVEL SECURITY")
    try:
        status, detail = ask(after.fence, context)
    finally:
        dba.execute("ALTER TABLE restaurants_restaurant ENABLE ROW LEVEL SECURITY")
        dba.execute("ALTER TABLE orders_order ENABLE ROW LEVEL SECURITY")
    assert (status, detail.endswith("or not itself: stop serving")) == ("fail", True)
    dba.execute("ALTER TABLE restaurants_kitchenstation DISABLE ROW LEVEL SECURITY")
    try:
        status, detail = ask(after.fence, context)
    finally:
        dba.execute("ALTER TABLE restaurants_kitchenstation ENABLE ROW LEVEL SECURITY")
    assert (status, "could write a row of restaurant" in detail) == ("fail", True)
    with database_role("platform"):
        assert ask(after.fence, context)[0] == "skip"


def test_a_websocket_opens_and_refuses_a_stranger(context, test_database):
    port = free_port()
    command = [
        *(sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0"),
        "fynlo.asgi:application",
    ]
    with running(command, test_database, BASE_URL=context.base_url):
        wait_until_ready(f"http://127.0.0.1:{port}/health/live")
        context.ws_url = f"ws://127.0.0.1:{port}"
        assert ask(after.websocket, context) == ("pass", "opened, and closed with 4401")
    # A server that knows no websockets.
    context.ws_url = context.base_url.replace("http", "ws")
    status, detail = ask(after.websocket, context)
    assert (status, detail.endswith("not 101")) == ("fail", True)


def test_a_task_goes_through_the_queue(context, test_database, monkeypatch):
    monkeypatch.setattr(after, "QUEUE_PATIENCE", 2.0)
    queue = f"probe-{test_database}"
    monkeypatch.setattr(after, "QUEUE", queue)
    assert ask(after.queue, context) == (
        "fail",
        "no worker took it within 2 s: is the worker up? (diagnose redis)",
    )
    monkeypatch.setattr(after, "QUEUE_PATIENCE", 60.0)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "fynlo",
        "--quiet",
        "worker",
        "--pool",
        "solo",
        "-Q",
        queue,
    ]
    with running(command, test_database):
        status, detail = ask(after.queue, context)
    assert (status, detail.endswith(" s")) == ("pass", True)


def test_the_cache_and_who_is_told(context, settings):
    assert ask(after.cache, context)[0] == "pass"
    assert ask(after.notified, context) == ("skip", "neither SLACK_WEBHOOK nor STATUSPAGE_ID is set")
    assert ask(after.errors, context) == ("skip", "no --prometheus URL to ask")


def test_inside_it_says_what_the_proxy_would(settings):
    settings.BASE_URL = "https://pos.example.com"
    inside = after.Context(base_url="http://web-green:8000")
    assert inside.client.headers["Host"] == "pos.example.com"
    assert inside.client.headers["X-Forwarded-Proto"] == "https"
    assert after._ws_url(inside) == "ws://ws-green:8001"
    public = after.Context(base_url="https://pos.example.com")
    assert "X-Forwarded-Proto" not in public.client.headers
    settings.WEBSOCKET_URL = ""
    assert after._ws_url(public) == "wss://pos.example.com"


def test_the_command_ends_with_3_and_names_what_failed(served, settings):
    settings.BASE_URL = served
    code, answer, checks = run(
        "verify_deployment", "--base-url", served, "--expect-version", "9", "--ws-url", "ws://127.0.0.1:1"
    )
    assert list(checks) == [item.name for item in AFTER.items]
    assert code == 3
    assert {"version", "websocket"} <= {name for name, check in checks.items() if check["status"] == "fail"}
    assert answer["message"].split("Failed: ")[1].startswith("version, websocket")
    assert run("verify_deployment", "--base-url", "pos.example.com")[0] == 2


def test_a_file_that_generate_secrets_wrote_is_fit_for_production(test_database, tmp_path):
    """As its container runs it, but for the addresses of the servers and that nothing was backed up yet."""
    values, _ = env_file.make_values()
    values |= {
        "BASE_URL": "https://pos.example.com",
        "PLATFORM_URL": "https://console.example.com",
        "MIGRATION_DATABASE_URL": role_url("migrator", test_database),
        "REDIS_URL": os.environ["REDIS_URL"],
        "REDIS_CACHE_URL": os.environ["REDIS_URL"],
        "REDIS_SINGLE": "1",
        "BACKUP_DIR": str(tmp_path),
        "DB_ROLE": "migrator",
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check_deploy", "--json"],
        cwd=ROOT,
        env=values,
        capture_output=True,
        text=True,
        timeout=100,
    )
    answer = json.loads(done.stdout)
    checks = {check["name"]: check for check in answer["checks"]}
    ends = {name: check["status"] for name, check in checks.items() if name not in ("disk", "backup")}
    assert ends == {
        **dict.fromkeys(("environment", "secrets", "django", "roles", "schema", "migrations"), "pass"),
        **dict.fromkeys(("redis", "connections"), "pass"),
        **dict.fromkeys(("way-back", *BEFORE.questions), "skip"),
    }, answer
    assert checks["environment"]["detail"] == "https://pos.example.com, as migrator"
    secret = [values[variable.name] for variable in env_file.variables() if variable.make]
    assert [value for value in secret if value in done.stdout + done.stderr] == []
