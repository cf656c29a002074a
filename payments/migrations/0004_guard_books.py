"""Close what the books still left open: rows that vanish, and a balance that is asked for in vain.

A printed receipt is marked as such and otherwise as frozen as before. Payments are never deleted. And
where the trigger could not see the entries (the restaurant was switched before commit), it found no
sum and let them pass.
"""

from django.db import migrations

BALANCES = """
CREATE OR REPLACE FUNCTION payments_ledger_balances() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, public AS $$
DECLARE
    difference bigint;
BEGIN
    SELECT sum(amount_minor) INTO difference FROM payments_ledgerentry
     WHERE restaurant_id = NEW.restaurant_id AND transaction_id = NEW.transaction_id;
    IF difference {is_wrong} THEN
        RAISE EXCEPTION 'Ledger transaction % is out of balance by %', NEW.transaction_id, difference
              USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
"""

GUARD = """
REVOKE DELETE ON payments_paymentintent, payments_paymentattempt FROM fynlo_app, fynlo_platform;
GRANT UPDATE (printed_at) ON payments_receipt TO fynlo_app;
"""
UNGUARD = """
REVOKE UPDATE (printed_at) ON payments_receipt FROM fynlo_app;
GRANT DELETE ON payments_paymentintent, payments_paymentattempt TO fynlo_app, fynlo_platform;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_add_receipt_printed_at")]

    operations = [
        migrations.RunSQL(
            GUARD + BALANCES.format(is_wrong="IS DISTINCT FROM 0"), UNGUARD + BALANCES.format(is_wrong="<> 0")
        )
    ]
