"""Backups that are good, backups that are not, and what a restore does and refuses to do."""

import dataclasses
import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest

from fynlo.ops.backup.crypto import StoredFile, open_file, write_file
from fynlo.ops.command import only_one
from tests.ops.backup.conftest import House, s3

pytestmark = pytest.mark.timeout(300)

Run = Callable[..., tuple[int, dict[str, Any], str]]
TENANT_TABLES = """
    SELECT table_name FROM information_schema.columns
     WHERE table_schema = 'public' AND column_name = 'restaurant_id' AND table_name IN (
           SELECT relname FROM pg_class WHERE relkind = 'r')
"""


@pytest.fixture
def dump(backed_up: tuple[str, str]) -> str:
    return backed_up[0]


@pytest.fixture
def full(backed_up: tuple[str, str]) -> str:
    return backed_up[1]


@pytest.fixture
def offsite(bucket: dict[str, str]) -> dict[str, Any]:
    """The bucket, as fields of BackupEnv."""
    names = {name.removeprefix("BACKUP_").lower(): value for name, value in bucket.items()}
    return {**names, "s3_lock_days": int(names["s3_lock_days"])}


# --- what is kept


def test_a_backup_is_encrypted_and_says_what_it_is(house: House, dump: str) -> None:
    place = house.backups / "backups" / dump
    entry = json.loads((place / "backup.json").read_text())
    assert (entry["kind"], entry["database"], entry["server_version"] // 10_000) == ("logical", "fynlo", 17)
    assert sorted(file["name"] for file in entry["files"]) == ["dump.age", "manifest.json.gz.age"]
    for file in entry["files"]:
        assert (place / file["name"]).read_bytes().startswith(b"age-encryption.org/v1\n")
        assert (place / file["name"]).stat().st_mode & 0o777 == 0o600
    assert not list(house.backups.glob(".draft-*"))


def test_the_copy_off_site_can_be_deleted_by_nobody(
    house: House, here: Run, dump: str, bucket: dict[str, str], offsite: dict[str, Any]
) -> None:
    client, name = s3(bucket["BACKUP_S3_ENDPOINT"]), bucket["BACKUP_S3_BUCKET"]
    key = f"backups/{dump}/dump.age"
    head = client.head_object(Bucket=name, Key=key, ChecksumMode="ENABLED")
    assert head["ObjectLockMode"] == "COMPLIANCE"
    assert head["ContentLength"] == (house.backups / key).stat().st_size
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.delete_object(Bucket=name, Key=key, VersionId=head["VersionId"])
    code, document, _ = here("list_backups", **offsite)
    assert code == 0
    assert {tuple(b["places"]) for b in document["backups"] if b["id"] == dump} == {("here", "off site")}


def test_without_a_way_off_site_the_backup_stays_here_and_goes_with_the_next(
    here: Run, offsite: dict[str, Any], backed_up: tuple[str, str]
) -> None:
    code, document, _ = here("backup", **{**offsite, "s3_endpoint": "http://127.0.0.1:9"})
    assert (code, document["offsite"]) == (6, False)
    left = document["backup"]["id"]

    code, document, said = here("backup", "--kind", "logical", "--reason", "again", **offsite)
    assert (code, document["offsite"], document["backup"]["reason"]) == (0, True, "again")
    assert f"copying {left} off site" in said


def test_nothing_in_the_clear_in_production(here: Run, house: House, settings: Any) -> None:
    settings.PRODUCTION = True
    before = sorted(path.name for path in house.backups.iterdir())
    for kind in ("logical", "full"):
        code, document, _ = here("backup", "--kind", kind, recipients=())
        assert (code, document["status"]) == (5, "unsafe")
        assert "BACKUP_AGE_RECIPIENT" in document["message"]
    assert {path.name for path in house.backups.iterdir()} - set(before) <= {".backup.lock"}


def test_one_backup_at_a_time(here: Run) -> None:
    with only_one("backup"):
        code, document, _ = here("backup")
    assert (code, document["status"]) == (4, "locked")


# --- what is not a backup


def flip(place: Path, name: str) -> None:
    path = place / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(place: Path, name: str) -> None:
    path = place / name
    path.write_bytes(path.read_bytes()[:-100])


def lose(place: Path, name: str) -> None:
    (place / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (flip, "dump.age is corrupted: its SHA-256 is not that of what was written."),
        (cut, "dump.age is truncated: {less} of {size} bytes are there."),
        (lose, "dump.age is missing."),
    ],
)
@pytest.mark.parametrize("restore", [False, True])
def test_a_spoilt_dump_is_refused(
    here: Run, copy_of: Any, dump: str, spoil: Any, sentence: str, restore: bool
) -> None:
    place = copy_of(dump)
    size = (place / "backups" / dump / "dump.age").stat().st_size
    spoil(place / "backups" / dump, "dump.age")
    code, document, _ = here("verify_backup", dump, *["--restore"] * restore, directory=str(place))
    assert code == 3
    assert document["message"] == f"{dump}: {sentence.format(less=size - 100, size=size)}"
    assert not (place / "verified").exists()


def test_a_spoilt_cluster_is_refused(here: Run, copy_of: Any, full: str) -> None:
    place = copy_of(full)
    flip(place / "backups" / full, "base.tar.gz.age")
    code, document, _ = here("verify_backup", full, directory=str(place))
    assert (code, document["message"]) == (
        3,
        f"{full}: base.tar.gz.age is corrupted: its SHA-256 is not that of what was written.",
    )


def test_another_key_opens_nothing(here: Run, dump: str) -> None:
    other = str(pyrage.x25519.Identity.generate())
    for command in (["verify_backup", dump, "--restore"], ["restore", dump, "--target-db", "elsewhere"]):
        code, document, _ = here(*command, identity=other)
        assert code == 3
        assert "is encrypted to another key than the one in BACKUP_AGE_IDENTITY." in document["message"]
    code, document, _ = here("verify_backup", dump, "--restore", identity="")
    assert (code, document["message"][:31]) == (2, "BACKUP_AGE_IDENTITY is not set:")


def test_damage_that_the_sums_agree_with_is_found_by_opening_it(here: Run, copy_of: Any, dump: str) -> None:
    place = copy_of(dump)
    flip(place / "backups" / dump, "dump.age")
    admit(place, dump, "dump.age")
    code, document, _ = here("verify_backup", dump, "--restore", directory=str(place))
    assert code == 3
    assert "dump.age cannot be decrypted to its end" in document["message"]


def admit(place: Path, backup_id: str, name: str, file: StoredFile | None = None) -> None:
    """Write into the entry what the file is like now, as somebody would who changed both."""
    path = place / "backups" / backup_id / "backup.json"
    entry = json.loads(path.read_text())
    if file is None:
        with (path.parent / name).open("rb") as source:
            file = write_file(place, "sums", source, [])
    entry["files"] = [
        dataclasses.asdict(file) | {"name": name} if f["name"] == name else f for f in entry["files"]
    ]
    path.write_text(json.dumps(entry))


def test_a_restore_that_differs_from_its_manifest_is_no_verified_backup(
    house: House, here: Run, copy_of: Any, dump: str
) -> None:
    place = copy_of(dump)
    directory, name = place / "backups" / dump, "manifest.json.gz.age"
    open_file(directory / name, place / "plain", house.identity)
    manifest = json.loads(gzip.decompress((place / "plain").read_bytes()))
    restaurant = min(manifest["rows"]["orders_order"])
    orders = manifest["rows"]["orders_order"][restaurant]
    total = manifest["money"]["orders_order.total_minor"][restaurant]
    manifest["rows"]["orders_order"][restaurant] += 1
    manifest["money"]["orders_order.total_minor"][restaurant] += 5
    policy = next(
        line for line in manifest["structure"] if line.startswith("policy orders_order_tenant_fence")
    )
    manifest["structure"].remove(policy)
    (directory / name).unlink()
    text = io.BytesIO(gzip.compress(json.dumps(manifest).encode()))
    recipient = house.environment["BACKUP_AGE_RECIPIENT"]
    admit(place, dump, name, write_file(directory, "manifest.json.gz", text, [recipient]))

    code, document, _ = here("verify_backup", dump, "--restore", directory=str(place))

    assert code == 3
    assert document["backups"][0]["problems"] == [
        f"not in the backup: {policy}",
        f"orders_order of restaurant {restaurant}: {orders + 1} rows were backed up, {orders} are restored",
        f"orders_order.total_minor of restaurant {restaurant}: {total + 5} minor units were backed up, "
        f"{total} are restored",
    ]
    assert not (place / "verified").exists()
    assert house.rows("SELECT datname FROM pg_database WHERE datname LIKE 'fynlo\\_scratch%'") == []


def test_money_that_does_not_add_up_is_no_verified_backup(
    house: House, here: Run, backed_up: tuple[str, str]
) -> None:
    ((order, captured),) = house.rows("SELECT id, captured_minor FROM orders_order ORDER BY id LIMIT 1")
    change = "UPDATE orders_order SET captured_minor = %s WHERE id = %s"
    with house.cluster.connect("fynlo") as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(change, [captured + 1, order])
        code, document, _ = here("backup")
        connection.execute(change, [captured, order])
    assert code == 0
    bad = document["backup"]["id"]
    try:
        code, document, _ = here("verify_backup", bad, "--restore")
    finally:
        shutil.rmtree(house.backups / "backups" / bad)
    assert code == 3
    assert any(f": order {order}: captured" in problem for problem in document["backups"][0]["problems"])


# --- good ones


def test_an_expression_that_postgres_writes_otherwise_after_a_restore_is_the_same(
    house: House, here: Run
) -> None:
    """As Django's migrations make them: a dump read back has its casts and brackets elsewhere."""
    with house.cluster.connect("fynlo") as connection:
        connection.execute(
            "CREATE TABLE shapes (state varchar(9), sum int, tax int, CHECK (state IN ('open', 'closed')));"
            "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER changed AFTER UPDATE ON shapes FOR EACH ROW EXECUTE FUNCTION noted();"
        )
        connection.execute(
            "CREATE TRIGGER noted AFTER UPDATE ON shapes FOR EACH ROW WHEN ("
            "((old.sum <> new.sum) OR (old.tax <> new.tax)) OR old.state <> new.state) "
            "EXECUTE FUNCTION noted()"
        )
        try:
            code, document, _ = here("backup")
            assert code == 0
            made = document["backup"]["id"]
            code, document, said = here("verify_backup", made, "--restore")
            shutil.rmtree(house.backups / "backups" / made)
        finally:
            connection.execute("DROP TABLE shapes; DROP FUNCTION noted()")
    assert code == 0, said


def test_the_newest_are_restored_compared_and_marked(
    house: House, here: Run, backed_up: tuple[str, str], offsite: dict[str, Any], tmp_path: Path
) -> None:
    """On a machine that has nothing but the key and the bucket: off site is enough, for the cluster too."""
    code, document, said = here("verify_backup", "--latest", "--restore", directory=str(tmp_path), **offsite)
    assert (code, document["status"]) == (0, "ok"), said
    assert [backup["kind"] for backup in document["backups"]] == ["logical", "full"]
    ((orders,),) = house.rows("SELECT count(*) FROM orders_order")
    assert {backup["orders"] for backup in document["backups"]} == {orders}

    code, document, _ = here("backup", **offsite)  # the server hears of it
    code, document, _ = here("list_backups")
    verified = {backup["id"] for backup in document["backups"] if backup["verified_at"]}
    assert backed_up[1] in verified
    assert document["latest"]["verified"]["physical"]


def test_a_database_with_rows_is_replaced_only_by_name_and_kept(house: House, here: Run, dump: str) -> None:
    (before,) = house.rows("SELECT count(*) FROM orders_order")
    for options, sentence in (
        ([], "The database fynlo is not empty."),
        (["--replace"], "To replace fynlo say --confirm fynlo."),
        (["--replace", "--confirm", "fynl"], "To replace fynlo say --confirm fynlo."),
    ):
        code, document, _ = here("restore", dump, "--target-db", "fynlo", *options)
        assert (code, document["status"]) == (5, "unsafe")
        assert document["message"].startswith(sentence)
    assert house.rows("SELECT count(*) FROM orders_order") == [before]
    epochs = set(house.rows("SELECT epoch FROM events_streamhead"))

    code, document, said = here("restore", dump, "--target-db", "fynlo", "--replace", "--confirm", "fynlo")

    assert code == 0, (document, said)
    assert document["streams_restarted"] == len(epochs)
    assert epochs.isdisjoint(house.rows("SELECT epoch FROM events_streamhead"))
    kept = document["kept_as"]
    assert kept.startswith("fynlo_before_")
    assert house.rows("SELECT count(*) FROM orders_order", kept) == [before]
    assert set(house.rows("SELECT epoch FROM events_streamhead", kept)) == epochs
    code, document, said = house.manage("list_backups", role="app")  # its logins still get in
    assert code == 0, said


def test_one_restaurant_is_restored_without_the_others(house: House, here: Run, dump: str) -> None:
    ((restaurant, name),) = house.rows("SELECT id, name FROM restaurants_restaurant ORDER BY id LIMIT 1")
    code, document, said = here("restore", dump, "--only-restaurant", str(restaurant))
    assert code == 0, (document, said)
    database = f"fynlo_restaurant_{restaurant}"
    assert house.rows("SELECT id, name FROM restaurants_restaurant", database) == [(restaurant, name)]
    tables = [table for (table,) in house.rows(TENANT_TABLES, database)]
    assert len(tables) > 30
    for table in tables:
        others = f"SELECT count(*) FROM {table} WHERE restaurant_id IS DISTINCT FROM {restaurant}"
        assert house.rows(others, database) == [(0,)], table
    own = f"SELECT count(*), sum(total_minor) FROM orders_order WHERE restaurant_id = {restaurant}"
    assert house.rows(own, database) == house.rows(own)
    assert house.rows(own, database)[0][0] > 0
    people = house.rows("SELECT DISTINCT password FROM accounts_user", database)
    assert people == [("!",)]

    code, document, _ = here("restore", dump, "--only-restaurant", "999999", "--target-db", "nobody")
    assert (code, document["message"]) == (2, "In this backup there is no restaurant 999999.")
    assert house.rows("SELECT datname FROM pg_database WHERE datname LIKE 'nobody%'") == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["latest-logical", "--to-time", "2026-01-01T00:00:00Z"], "There is no logical backup that ended"),
        (["{dump}", "--to-time", "2026-01-01T00:00:00Z"], "{dump} is a dump, of one moment"),
        (["{full}", "--to-time", "2026-01-01T00:00:00Z"], "{full} ended at"),
        (["{full}", "--to-time", "2126-01-01T00:00:00Z"], "--to-time has not come yet."),
        (["{dump}", "--data-directory", "/nowhere"], "{dump} is a dump, of one moment"),
        (["20260101T000000Z-full"], "There is no backup 20260101T000000Z-full"),
        (["{dump}", "--target-db", "Fynlo; DROP"], "--target-db: 'Fynlo; DROP' must be"),
    ],
)
def test_what_cannot_be_restored_is_said(
    here: Run, backed_up: tuple[str, str], options: list[str], sentence: str
) -> None:
    names = dict(zip(("dump", "full"), backed_up, strict=True))
    code, document, _ = here("restore", *[option.format(**names) for option in options])
    assert (code, document["status"]) == (2, "usage")
    assert document["message"].startswith(sentence.format(**names))


def test_a_data_directory_that_is_in_use_is_left_alone(house: House, here: Run, full: str) -> None:
    code, document, _ = here("restore", full, "--data-directory", str(house.cluster.data))
    assert (code, document["status"]) == (5, "unsafe")


@pytest.fixture(autouse=True, scope="module")
def no_leftovers(house: House) -> Iterator[None]:
    yield
    names = house.rows("SELECT datname FROM pg_database WHERE datname LIKE '%\\_restoring'")
    assert names == []
