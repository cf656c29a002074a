"""The schema is closed, and the check that says so would notice if it were not."""

import os

import psycopg
import pytest
from django.db import connections
from psycopg.conninfo import make_conninfo

from tests.tenancy.catalog import problems, tenant_tables

pytestmark = pytest.mark.usefixtures("cluster_roles")

SABOTAGE = [
    ("ALTER TABLE orders_order DISABLE ROW LEVEL SECURITY", "orders_order: row security"),
    ("ALTER TABLE orders_order NO FORCE ROW LEVEL SECURITY", "orders_order: row security"),
    ("DROP POLICY orders_order_tenant_fence ON orders_order", "orders_order: no RESTRICTIVE policy"),
    (
        "ALTER POLICY orders_order_tenant_fence ON orders_order USING (true)",
        "the fence is another expression",
    ),
    ("CREATE TABLE newcomer (id uuid PRIMARY KEY, restaurant_id int NOT NULL)", "newcomer: row security"),
    (
        "ALTER TABLE orders_orderitem DROP CONSTRAINT orders_orderitem_order_id_tfk,"
        " ADD FOREIGN KEY (order_id) REFERENCES orders_order (id)",
        "is not composite",
    ),
    (
        "ALTER TABLE orders_orderitem DROP CONSTRAINT orders_orderitem_order_id_tfk",
        "no validated foreign key",
    ),
    ("CREATE UNIQUE INDEX sneaky ON restaurants_menuitem (name, id)", "sneaky"),
    (
        "CREATE VIEW sneaky AS SELECT * FROM orders_order; GRANT SELECT ON sneaky TO fynlo_app",
        "not security_invoker",
    ),
    (
        "CREATE MATERIALIZED VIEW sneaky AS SELECT * FROM orders_order; GRANT SELECT ON sneaky TO fynlo_app",
        "a materialised view",
    ),
    (
        "CREATE FUNCTION sneaky() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
        " AS 'SELECT count(*) FROM orders_order';"
        " GRANT EXECUTE ON FUNCTION sneaky() TO fynlo_app",
        "SECURITY DEFINER of postgres",
    ),
    ("GRANT ALL ON orders_order TO fynlo_app", "holds TRUNCATE"),
    ("GRANT UPDATE ON events_event TO fynlo_app", "append-only, but fynlo_app holds UPDATE"),
    ("GRANT DELETE ON payments_ledgerentry TO fynlo_app", "append-only, but fynlo_app holds DELETE"),
    ("ALTER TABLE orders_order OWNER TO fynlo_app", "owned by fynlo_app"),
    ("GRANT TEMP ON DATABASE {database} TO fynlo_app", "temporary tables"),
    ("CREATE POLICY sneaky ON orders_order USING (true)", "applies TO PUBLIC"),
    ("ALTER TABLE orders_order ALTER restaurant_id DROP NOT NULL", "may be null"),
]
# Roles are the whole cluster's, so these hold no longer than the transaction that is rolled back.
ROLE_SABOTAGE = [
    ("ALTER ROLE fynlo_app BYPASSRLS", "may bypass row security"),
    ("GRANT fynlo_owner TO fynlo_app", "is a member of fynlo_owner"),
]


def test_every_table_of_a_restaurant_is_fenced(dba):
    assert problems(dba) == []


def test_the_check_sees_the_tables(dba):
    names = {name for _, name, *_ in tenant_tables(dba)}
    assert {"orders_order", "payments_ledgerentry", "accounts_membership", "events_event"} <= names


@pytest.mark.parametrize(("sabotage", "expected"), SABOTAGE + ROLE_SABOTAGE)
def test_the_check_notices(sabotage, expected):
    name = connections["default"].settings_dict["NAME"]
    with psycopg.connect(make_conninfo(os.environ["TEST_ADMIN_DATABASE_URL"], dbname=name)) as connection:
        connection.execute(sabotage.format(database=name))
        found = problems(connection)
        connection.rollback()
    assert any(expected in problem for problem in found), found
