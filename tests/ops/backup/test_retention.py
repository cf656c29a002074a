"""Which backups may go, and which never."""

import dataclasses
import datetime

import pytest
from django.conf import settings

from fynlo.ops.backup.catalogue import Backup
from fynlo.ops.backup.retention import backups_to_remove
from fynlo.ops.command import OpsError

NOW = datetime.datetime(2026, 11, 24, 6, 30, tzinfo=datetime.UTC)
RULES = dataclasses.replace(
    settings.ENV.backup, keep_daily=3, keep_weekly=2, keep_monthly=2, keep_days_of_wal=14
)


def backup(kind: str, days_ago: float, *, verified: bool = False, follows: str = "") -> Backup:
    at = NOW - datetime.timedelta(days=days_ago)
    return Backup(
        id=f"{kind}-{days_ago:g}",
        kind=kind,
        engine="pg_dump" if kind == "logical" else "native",
        database="fynlo",
        started_at=at,
        ended_at=at,
        server_version=170010,
        version="1",
        git_sha="",
        migrations={},
        files=(),
        follows=follows,
        verified_at=NOW if verified else None,
    )


def removed(*backups: Backup) -> set[str]:
    return {gone.id for gone in backups_to_remove(list(backups), NOW, RULES)}


def test_dumps_are_kept_by_day_week_and_month() -> None:
    """NOW is a Tuesday; the week before ended 2 days ago, the month before 24."""
    dumps = [backup("logical", days, verified=days == 0) for days in range(70)]
    twice = backup("logical", 1.2)  # earlier on the day that is kept by its last
    kept = {b.id for b in dumps} - removed(*dumps, twice)
    assert kept == {"logical-0", "logical-1", "logical-2", "logical-24"}
    assert twice.id in removed(*dumps, twice)


def test_the_last_verified_one_is_never_removed() -> None:
    rules = dataclasses.replace(RULES, keep_monthly=1)
    old, newer = backup("logical", 400, verified=True), backup("logical", 300, verified=True)
    dumps = [backup("logical", days) for days in range(5)]
    only_old = {gone.id for gone in backups_to_remove([old, *dumps], NOW, rules)}
    both = {gone.id for gone in backups_to_remove([old, newer, *dumps], NOW, rules)}
    assert only_old == {"logical-3", "logical-4"}
    assert both == {"logical-3", "logical-4", "logical-400"}


def test_nothing_goes_while_nothing_was_verified() -> None:
    dumps = [backup("logical", days) for days in range(70)]
    with pytest.raises(OpsError, match="No logical backup was ever verified"):
        backups_to_remove(dumps, NOW, RULES)
    assert removed(*dumps[:3]) == set()  # where nothing would go, nothing is wrong


def test_every_moment_of_the_window_can_be_restored() -> None:
    chain = [
        backup("full", 30),
        backup("incr", 29, follows="full-30"),
        backup("full", 20),
        backup("diff", 15, follows="full-20"),
        backup("full", 10, verified=True),
        backup("incr", 1, follows="full-10"),
    ]
    # A moment 14 days ago lies after the full one of 20 days ago.
    assert removed(*chain) == {"full-30", "incr-29"}


def test_what_a_verified_one_adds_to_stays_with_it() -> None:
    chain = [
        backup("full", 90),
        backup("incr", 89, follows="full-90", verified=True),
        backup("full", 60),
        backup("full", 20),
    ]
    assert removed(*chain) == {"full-60"}
