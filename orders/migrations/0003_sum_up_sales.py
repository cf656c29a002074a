"""Daily revenue: a table under the fence that is summed up from closed orders, outside of their transactions.

Closing an order only appends to a log which day changed: a roll-up written there and then would keep the
day's row locked until commit, and the tills of a restaurant would queue for it. The row triggers have
WHEN clauses, so that a change of an open order, which is nearly all of them, calls no function at all.
fynlo_rollup, which sees every restaurant, drains the log; whoever calls its functions sees no amounts.
"""

from django.db import migrations, models

from fynlo.tenancy.constraints import fence_policies


def fence(table: str) -> str:
    policies = {**fence_policies(), "rollup": "FOR ALL TO fynlo_rollup USING (true) WITH CHECK (true)"}
    return "".join(
        [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;\n",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY;\n",
            *(f"CREATE POLICY {table}_{suffix} ON {table} {body};\n" for suffix, body in policies.items()),
        ]
    )


TABLES = f"""
CREATE TABLE orders_sales_daily (
    restaurant_id int NOT NULL,
    business_date date NOT NULL,
    kind varchar(10) NOT NULL,
    orders int NOT NULL,
    revenue_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (restaurant_id, business_date, kind)
);
{fence("orders_sales_daily")}
REVOKE ALL ON orders_sales_daily FROM fynlo_app, fynlo_platform;
GRANT SELECT ON orders_sales_daily TO fynlo_app, fynlo_platform, fynlo_readonly;
GRANT SELECT, INSERT, DELETE ON orders_sales_daily TO fynlo_rollup;

CREATE TABLE orders_sales_dirty (restaurant_id int NOT NULL, business_date date NOT NULL);
{fence("orders_sales_dirty")}
REVOKE ALL ON orders_sales_dirty FROM fynlo_app, fynlo_platform;
GRANT INSERT ON orders_sales_dirty TO fynlo_app, fynlo_platform;
GRANT SELECT, INSERT, DELETE ON orders_sales_dirty TO fynlo_rollup;

GRANT SELECT (restaurant_id, business_date, kind, status, total_minor, tax_minor) ON orders_order TO fynlo_rollup;
GRANT SELECT (id, currency) ON restaurants_restaurant TO fynlo_rollup;

CREATE VIEW daily_revenue WITH (security_invoker = true) AS
    SELECT restaurant_id, business_date, kind, orders, revenue_minor, tax_minor, refreshed_at FROM orders_sales_daily;
REVOKE ALL ON daily_revenue FROM fynlo_app, fynlo_platform;
GRANT SELECT ON daily_revenue TO fynlo_app, fynlo_platform, fynlo_readonly;
"""

TRIGGERS = """
CREATE FUNCTION orders_mark_sales() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO public.orders_sales_dirty VALUES (OLD.restaurant_id, OLD.business_date);
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.business_date <> OLD.business_date) THEN
        INSERT INTO public.orders_sales_dirty VALUES (NEW.restaurant_id, NEW.business_date);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER orders_order_sales_insert AFTER INSERT ON orders_order
    FOR EACH ROW WHEN (NEW.status = 'closed') EXECUTE FUNCTION orders_mark_sales();
CREATE TRIGGER orders_order_sales_update AFTER UPDATE ON orders_order
    FOR EACH ROW WHEN (
        (OLD.status = 'closed' OR NEW.status = 'closed')
        AND (OLD.status, OLD.business_date, OLD.kind, OLD.total_minor, OLD.tax_minor)
            IS DISTINCT FROM (NEW.status, NEW.business_date, NEW.kind, NEW.total_minor, NEW.tax_minor)
    ) EXECUTE FUNCTION orders_mark_sales();
CREATE TRIGGER orders_order_sales_delete AFTER DELETE ON orders_order
    FOR EACH ROW WHEN (OLD.status = 'closed') EXECUTE FUNCTION orders_mark_sales();

INSERT INTO orders_sales_dirty
    SELECT DISTINCT restaurant_id, business_date FROM orders_order WHERE status = 'closed';
"""

FUNCTIONS = """
-- Takes marks and sums their days up anew; returns how many days. One drain at a time.
CREATE FUNCTION definer.drain_sales(max_marks int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    restaurants int[];
    dates date[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('fynlo.drain_sales', 0));
    WITH gone AS (
        DELETE FROM public.orders_sales_dirty
         WHERE ctid = ANY (ARRAY(SELECT ctid FROM public.orders_sales_dirty LIMIT max_marks))
        RETURNING restaurant_id, business_date
    )
    SELECT array_agg(d.restaurant_id), array_agg(d.business_date) INTO restaurants, dates
      FROM (SELECT DISTINCT gone.restaurant_id, gone.business_date FROM gone) AS d;
    IF restaurants IS NULL THEN
        RETURN 0;
    END IF;
    -- Statements of their own, so that their snapshots are newer than the marks.
    DELETE FROM public.orders_sales_daily s USING unnest(restaurants, dates) AS d(restaurant_id, business_date)
     WHERE s.restaurant_id = d.restaurant_id AND s.business_date = d.business_date;
    INSERT INTO public.orders_sales_daily (restaurant_id, business_date, kind, orders, revenue_minor, tax_minor)
    SELECT d.restaurant_id, d.business_date, day.kind, day.orders, day.revenue_minor, day.tax_minor
      FROM unnest(restaurants, dates) AS d(restaurant_id, business_date)
     CROSS JOIN LATERAL (
           SELECT o.kind, count(*)::int AS orders, sum(o.total_minor)::bigint AS revenue_minor,
                  sum(o.tax_minor)::bigint AS tax_minor
             FROM public.orders_order o
            WHERE o.restaurant_id = d.restaurant_id AND o.business_date = d.business_date AND o.status = 'closed'
            GROUP BY o.kind) AS day;
    RETURN cardinality(restaurants);
END $$;

-- The days whose sums are not those of their orders, unless they are marked to be summed up anyway.
-- One statement, so one snapshot: a mark and its order, and a drain and its sums, are seen together or not.
CREATE FUNCTION definer.sales_differences(since date) RETURNS TABLE (restaurant_id int, business_date date)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH counted AS (
        SELECT o.restaurant_id, o.business_date, o.kind, count(*)::int AS orders,
               sum(o.total_minor)::bigint AS revenue_minor, sum(o.tax_minor)::bigint AS tax_minor
          FROM public.orders_order o
         WHERE o.status = 'closed' AND o.business_date >= sales_differences.since
         GROUP BY o.restaurant_id, o.business_date, o.kind
    ),
    kept AS (
        SELECT s.restaurant_id, s.business_date, s.kind, s.orders, s.revenue_minor, s.tax_minor
          FROM public.orders_sales_daily s WHERE s.business_date >= sales_differences.since
    ),
    different AS (
        (TABLE counted EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE counted)
    )
    SELECT d.restaurant_id, d.business_date FROM different d
    EXCEPT SELECT m.restaurant_id, m.business_date FROM public.orders_sales_dirty m
    ORDER BY 1, 2
$$;

CREATE FUNCTION definer.mark_sales_differences(since date) RETURNS TABLE (restaurant_id int, business_date date)
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO public.orders_sales_dirty AS m (restaurant_id, business_date)
    SELECT d.restaurant_id, d.business_date FROM definer.sales_differences(mark_sales_differences.since) AS d
    RETURNING m.restaurant_id, m.business_date
$$;
"""

# Summed over all restaurants, and so for the platform alone: row security does not reach into a
# materialised view.
PLATFORM = """
CREATE MATERIALIZED VIEW definer.platform_daily_revenue AS
    SELECT s.business_date, r.currency, count(DISTINCT s.restaurant_id)::int AS restaurants,
           sum(s.orders)::bigint AS orders, sum(s.revenue_minor)::bigint AS revenue_minor,
           sum(s.tax_minor)::bigint AS tax_minor
      FROM public.orders_sales_daily s JOIN public.restaurants_restaurant r ON r.id = s.restaurant_id
     GROUP BY s.business_date, r.currency;
CREATE UNIQUE INDEX platform_daily_revenue_day ON definer.platform_daily_revenue (business_date, currency);
GRANT SELECT ON definer.platform_daily_revenue TO fynlo_platform;

-- Refreshing is the owner's right; so the workers, who may not read the view, ask its owner to.
-- Returns how many days of it differ from the restaurants' sums, which no drain can change meanwhile.
CREATE FUNCTION definer.refresh_platform_daily_revenue() RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('fynlo.drain_sales', 0));
    REFRESH MATERIALIZED VIEW CONCURRENTLY definer.platform_daily_revenue;
    RETURN (
        SELECT count(*)
          FROM (SELECT s.business_date, sum(s.orders) AS orders, sum(s.revenue_minor) AS revenue_minor
                  FROM public.orders_sales_daily s GROUP BY s.business_date) AS summed
          FULL JOIN (SELECT p.business_date, sum(p.orders) AS orders, sum(p.revenue_minor) AS revenue_minor
                       FROM definer.platform_daily_revenue p GROUP BY p.business_date) AS kept
            USING (business_date)
         WHERE (summed.orders, summed.revenue_minor) IS DISTINCT FROM (kept.orders, kept.revenue_minor));
END $$;
"""

# Rights first: fynlo_owner, who makes these, has none of fynlo_rollup's once they are its.
FUNCTION_NAMES = (
    "definer.drain_sales(int)",
    "definer.sales_differences(date)",
    "definer.mark_sales_differences(date)",
    "definer.refresh_platform_daily_revenue()",
)
HAND_OVER = "ALTER MATERIALIZED VIEW definer.platform_daily_revenue OWNER TO fynlo_rollup;\n" + "".join(
    f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC;\n"
    f"GRANT EXECUTE ON FUNCTION {name} TO fynlo_app, fynlo_platform;\n"
    f"ALTER FUNCTION {name} OWNER TO fynlo_rollup;\n"
    for name in FUNCTION_NAMES
)

UNDO = f"""
{"".join(f"DROP FUNCTION {name};" for name in reversed(FUNCTION_NAMES))}
DROP MATERIALIZED VIEW definer.platform_daily_revenue;
DROP TRIGGER orders_order_sales_insert ON orders_order;
DROP TRIGGER orders_order_sales_update ON orders_order;
DROP TRIGGER orders_order_sales_delete ON orders_order;
DROP FUNCTION orders_mark_sales();
DROP VIEW daily_revenue;
DROP TABLE orders_sales_dirty;
DROP TABLE orders_sales_daily;
REVOKE SELECT (id, currency) ON restaurants_restaurant FROM fynlo_rollup;
REVOKE SELECT (restaurant_id, business_date, kind, status, total_minor, tax_minor) ON orders_order FROM fynlo_rollup;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0002_add_order_request_hash"),
        ("restaurants", "0002_fence_restaurant"),
    ]

    operations = [
        migrations.RunSQL(TABLES + TRIGGERS + FUNCTIONS + PLATFORM + HAND_OVER, UNDO),
        migrations.CreateModel(
            name="DailyRevenue",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "restaurant",
                        "business_date",
                        "kind",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("business_date", models.DateField()),
                (
                    "kind",
                    models.CharField(choices=[("dine_in", "Dine in"), ("takeaway", "Takeaway")], max_length=10),
                ),
                ("orders", models.IntegerField()),
                ("revenue_minor", models.BigIntegerField()),
                ("tax_minor", models.BigIntegerField()),
                ("refreshed_at", models.DateTimeField()),
            ],
            options={"db_table": "daily_revenue", "managed": False},
        ),
    ]
