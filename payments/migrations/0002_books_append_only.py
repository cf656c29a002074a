"""The books are only ever added to, and every transaction in them balances at commit."""

from django.db import migrations

BALANCE = """
REVOKE UPDATE, DELETE ON payments_ledgertransaction, payments_ledgerentry, payments_receipt
    FROM fynlo_app, fynlo_platform;

CREATE FUNCTION payments_ledger_balances() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    difference bigint;
BEGIN
    SELECT sum(amount_minor) INTO difference FROM payments_ledgerentry
     WHERE restaurant_id = NEW.restaurant_id AND transaction_id = NEW.transaction_id;
    IF difference <> 0 THEN
        RAISE EXCEPTION 'Ledger transaction % is out of balance by %', NEW.transaction_id, difference
              USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
GRANT EXECUTE ON FUNCTION payments_ledger_balances() TO fynlo_app, fynlo_platform;

CREATE CONSTRAINT TRIGGER payments_ledgerentry_balances
    AFTER INSERT ON payments_ledgerentry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payments_ledger_balances();
"""

UNDO = """
DROP TRIGGER payments_ledgerentry_balances ON payments_ledgerentry;
DROP FUNCTION payments_ledger_balances();
GRANT UPDATE, DELETE ON payments_ledgertransaction, payments_ledgerentry, payments_receipt
    TO fynlo_app, fynlo_platform;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [migrations.RunSQL(BALANCE, UNDO)]
