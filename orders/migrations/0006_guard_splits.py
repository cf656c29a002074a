"""The parts of a divided bill sum to what was divided, whoever wrote them: checked at commit."""

from django.db import migrations

SUMS = """
CREATE FUNCTION orders_split_sums() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    difference bigint;
BEGIN
    SELECT (SELECT coalesce(sum(amount_minor), 0) FROM orders_billpart p
             WHERE p.restaurant_id = s.restaurant_id AND p.split_id = s.id) - s.total_minor
      INTO difference FROM orders_billsplit s
     WHERE s.restaurant_id = NEW.restaurant_id
       AND s.id = CASE TG_TABLE_NAME WHEN 'orders_billsplit' THEN NEW.id
                       ELSE (to_jsonb(NEW) ->> 'split_id')::uuid END;
    IF difference IS DISTINCT FROM 0 THEN
        RAISE EXCEPTION 'The parts of a bill differ from it by %', difference USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
GRANT EXECUTE ON FUNCTION orders_split_sums() TO fynlo_app, fynlo_platform;

CREATE CONSTRAINT TRIGGER orders_billsplit_sums AFTER INSERT OR UPDATE OF total_minor ON orders_billsplit
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION orders_split_sums();
CREATE CONSTRAINT TRIGGER orders_billpart_sums AFTER INSERT OR UPDATE OF amount_minor ON orders_billpart
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION orders_split_sums();
"""

UNDO = """
DROP TRIGGER orders_billpart_sums ON orders_billpart;
DROP TRIGGER orders_billsplit_sums ON orders_billsplit;
DROP FUNCTION orders_split_sums();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0005_add_splits_and_service_charge")]

    operations = [migrations.RunSQL(SUMS, UNDO)]
