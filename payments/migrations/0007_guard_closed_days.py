"""Orders and drawer sessions of a closed day change no more, and none come into it."""

from django.db import migrations

# As `payments_day_is_open` does for the books: the row lock waits for a Z report that is being written.
# Refunds go on changing an order's `refunded_minor`: they belong to the day they are made on.
GUARD = """
CREATE FUNCTION payments_day_stays_closed() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, public AS $$
DECLARE
    closed date;
BEGIN
    SELECT closed_through INTO closed FROM restaurants_restaurant WHERE id = NEW.restaurant_id FOR KEY SHARE;
    IF NEW.business_date <= closed OR (TG_OP = 'UPDATE' AND OLD.business_date <= closed) THEN
        RAISE EXCEPTION 'The business day % is closed', least(NEW.business_date, OLD.business_date)
              USING ERRCODE = 'check_violation', CONSTRAINT = 'business_day_closed';
    END IF;
    RETURN NULL;
END $$;
GRANT EXECUTE ON FUNCTION payments_day_stays_closed() TO fynlo_app, fynlo_platform;

CREATE TRIGGER orders_order_day_new AFTER INSERT ON orders_order
    FOR EACH ROW EXECUTE FUNCTION payments_day_stays_closed();
CREATE TRIGGER orders_order_day
    AFTER UPDATE OF total_minor, tax_minor, tax_lines, service_charge_minor, status, business_date
    ON orders_order FOR EACH ROW WHEN (
        OLD.total_minor <> NEW.total_minor OR OLD.tax_minor <> NEW.tax_minor
        OR OLD.tax_lines <> NEW.tax_lines OR OLD.service_charge_minor <> NEW.service_charge_minor
        OR OLD.status <> NEW.status OR OLD.business_date <> NEW.business_date)
    EXECUTE FUNCTION payments_day_stays_closed();
CREATE TRIGGER payments_drawersession_day AFTER INSERT OR UPDATE ON payments_drawersession
    FOR EACH ROW EXECUTE FUNCTION payments_day_stays_closed();
"""
UNDO = """
DROP TRIGGER payments_drawersession_day ON payments_drawersession;
DROP TRIGGER orders_order_day ON orders_order;
DROP TRIGGER orders_order_day_new ON orders_order;
DROP FUNCTION payments_day_stays_closed();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0006_guard_money"), ("orders", "0006_guard_splits")]

    operations = [migrations.RunSQL(GUARD, UNDO)]
