"""Every table of restaurants could be distributed today, and the check would notice one that could not."""

import psycopg
import pytest

from tests.databases import admin_url, create_test_database, drop_test_database
from tests.processes import manage

SABOTAGE = [
    (
        "CREATE UNIQUE INDEX by_name ON restaurants_menuitem (name)",
        "restaurants_menuitem: unique index by_name over name spans restaurants.",
    ),
    (
        "ALTER TABLE orders_orderitem DROP CONSTRAINT orders_orderitem_order_id_tfk,"
        " ADD CONSTRAINT plain FOREIGN KEY (order_id) REFERENCES orders_order (id)",
        "orders_orderitem: foreign key plain to orders_order does not carry the restaurant.",
    ),
    (
        "ALTER TABLE orders_order ADD running bigint GENERATED ALWAYS AS IDENTITY",
        "orders_order: running is numbered across restaurants.",
    ),
    (
        "CREATE TABLE newcomer (restaurant_id bigint, id uuid, PRIMARY KEY (restaurant_id, id))",
        "newcomer: restaurant_id is bigint; tables are kept together only where the type is the same.",
    ),
    (
        "ALTER TABLE orders_order ALTER restaurant_id DROP NOT NULL",
        "orders_order: restaurant_id may be null.",
    ),
]


@pytest.fixture
def copy(worker_id):
    """A database of the same schema, to spoil."""
    name = create_test_database(f"{worker_id}_distribution")
    yield name
    drop_test_database(name)


def check(database, *arguments):
    return manage("migrator", database, "check_distribution", *arguments)


def test_every_table_of_restaurants_could_move_today(copy):
    code, outcome = check(copy, "--rehearse")
    assert (code, outcome["problems"], outcome["rehearsed"]) == (0, [], True)
    assert {"orders_order", "orders_orderitem", "payments_ledgerentry", "events_event"} < set(
        outcome["tables"]
    )
    with psycopg.connect(admin_url(copy)) as connection:
        keys = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'p' AND conrelid = 'orders_order'::regclass"
        ).fetchall()
    assert keys == [("PRIMARY KEY (id)",)]  # it was only a rehearsal


def test_what_stands_in_the_way_is_named(copy):
    with psycopg.connect(admin_url(copy)) as connection:
        for statement, _ in SABOTAGE:
            connection.execute(statement)
    code, outcome = check(copy)
    assert (code, outcome["status"]) == (3, "check_failed")
    assert sorted(outcome["problems"]) == sorted(problem for _, problem in SABOTAGE)


def test_a_key_that_still_hangs_on_the_id_alone_is_found_by_the_rehearsal(copy):
    with psycopg.connect(admin_url(copy)) as connection:
        connection.execute("CREATE TABLE outsider (order_id uuid REFERENCES orders_order (id))")
    assert check(copy)[0] == 0
    code, outcome = check(copy, "--rehearse")
    assert code == 3
    assert "other objects depend on it" in outcome["problems"][0]
