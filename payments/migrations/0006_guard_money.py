"""What may never change, what a closed day refuses, and the look-ups before a restaurant is known."""

from django.db import migrations

# A split bill whose parts were deleted with it may be made anew; money is never deleted.
GUARD = """
REVOKE UPDATE, DELETE ON payments_providercall, payments_cashmovement, payments_dayclose
    FROM fynlo_app, fynlo_platform;
REVOKE DELETE ON payments_refund, payments_webhookevent, payments_drawersession, payments_provideraccount,
                 payments_dispute, payments_reconciliationrun, payments_reconciliationissue, payments_payout,
                 payments_payoutline, payments_receiptdelivery, payments_cashdrawer, payments_terminal
    FROM fynlo_app, fynlo_platform;
"""
UNGUARD = """
GRANT DELETE ON payments_refund, payments_webhookevent, payments_drawersession, payments_provideraccount,
                payments_dispute, payments_reconciliationrun, payments_reconciliationissue, payments_payout,
                payments_payoutline, payments_receiptdelivery, payments_cashdrawer, payments_terminal
    TO fynlo_app, fynlo_platform;
GRANT UPDATE, DELETE ON payments_providercall, payments_cashmovement, payments_dayclose
    TO fynlo_app, fynlo_platform;
"""

# The row lock waits for a Z report that is being written (it locks the restaurant FOR UPDATE), and then
# reads what it wrote: a booking is in the report, or meets the closed day.
CLOSED_DAYS = """
CREATE FUNCTION payments_day_is_open() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    closed date;
BEGIN
    SELECT closed_through INTO closed FROM restaurants_restaurant WHERE id = NEW.restaurant_id FOR KEY SHARE;
    IF NEW.business_date <= closed THEN
        RAISE EXCEPTION 'The books of % are closed', NEW.business_date USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
GRANT EXECUTE ON FUNCTION payments_day_is_open() TO fynlo_app, fynlo_platform;

CREATE TRIGGER payments_ledgertransaction_day AFTER INSERT ON payments_ledgertransaction
    FOR EACH ROW EXECUTE FUNCTION payments_day_is_open();
"""
NO_CLOSED_DAYS = """
DROP TRIGGER payments_ledgertransaction_day ON payments_ledgertransaction;
DROP FUNCTION payments_day_is_open();
"""

# As fynlo_directory, which sees across the fence no more columns than these.
DIRECTORY = """
GRANT SELECT (id, restaurant_id, provider, mode, status, external_account_id) ON payments_provideraccount
    TO fynlo_directory;
GRANT SELECT (restaurant_id, settled_at, next_check_at) ON payments_paymentattempt, payments_refund
    TO fynlo_directory;
GRANT SELECT (restaurant_id, state, next_try_at) ON payments_webhookevent, payments_receiptdelivery
    TO fynlo_directory;
CREATE POLICY payments_provideraccount_tenant_directory ON payments_provideraccount
    FOR SELECT TO fynlo_directory USING (true);
CREATE POLICY payments_paymentattempt_tenant_directory ON payments_paymentattempt
    FOR SELECT TO fynlo_directory USING (true);
CREATE POLICY payments_refund_tenant_directory ON payments_refund FOR SELECT TO fynlo_directory USING (true);
CREATE POLICY payments_webhookevent_tenant_directory ON payments_webhookevent
    FOR SELECT TO fynlo_directory USING (true);
CREATE POLICY payments_receiptdelivery_tenant_directory ON payments_receiptdelivery
    FOR SELECT TO fynlo_directory USING (true);

CREATE FUNCTION definer.provider_account(name text, external_id text, account_mode text)
    RETURNS TABLE (restaurant_id int, account_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.restaurant_id, a.id FROM public.payments_provideraccount a
     WHERE a.provider = name AND a.external_account_id = external_id AND a.mode = account_mode
       AND external_id <> '' AND a.status <> 'disconnected'
     ORDER BY a.id
$$;
CREATE FUNCTION definer.restaurants_with_payments_due() RETURNS SETOF int
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT restaurant_id FROM public.payments_paymentattempt
     WHERE settled_at IS NULL AND next_check_at <= now()
    UNION
    SELECT restaurant_id FROM public.payments_refund WHERE settled_at IS NULL AND next_check_at <= now()
    UNION
    SELECT restaurant_id FROM public.payments_webhookevent WHERE state = 'new' AND next_try_at <= now()
    UNION
    SELECT restaurant_id FROM public.payments_receiptdelivery WHERE state = 'queued' AND next_try_at <= now()
$$;

-- Before the change of owner: fynlo_owner has none of fynlo_directory's rights.
REVOKE ALL ON FUNCTION definer.provider_account(text, text, text), definer.restaurants_with_payments_due()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION definer.provider_account(text, text, text),
    definer.restaurants_with_payments_due() TO fynlo_app, fynlo_platform;
ALTER FUNCTION definer.provider_account(text, text, text) OWNER TO fynlo_directory;
ALTER FUNCTION definer.restaurants_with_payments_due() OWNER TO fynlo_directory;
"""
NO_DIRECTORY = """
DROP FUNCTION definer.restaurants_with_payments_due();
DROP FUNCTION definer.provider_account(text, text, text);
DROP POLICY payments_receiptdelivery_tenant_directory ON payments_receiptdelivery;
DROP POLICY payments_webhookevent_tenant_directory ON payments_webhookevent;
DROP POLICY payments_refund_tenant_directory ON payments_refund;
DROP POLICY payments_paymentattempt_tenant_directory ON payments_paymentattempt;
DROP POLICY payments_provideraccount_tenant_directory ON payments_provideraccount;
REVOKE SELECT (restaurant_id, state, next_try_at) ON payments_webhookevent, payments_receiptdelivery
    FROM fynlo_directory;
REVOKE SELECT (restaurant_id, settled_at, next_check_at) ON payments_paymentattempt, payments_refund
    FROM fynlo_directory;
REVOKE SELECT (id, restaurant_id, provider, mode, status, external_account_id) ON payments_provideraccount
    FROM fynlo_directory;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0005_add_providers_and_drawers"),
        ("restaurants", "0006_grant_charges_and_closing"),
        ("accounts", "0002_directory"),
    ]

    operations = [
        migrations.RunSQL(GUARD, UNGUARD),
        migrations.RunSQL(CLOSED_DAYS, NO_CLOSED_DAYS),
        migrations.RunSQL(DIRECTORY, NO_DIRECTORY),
    ]
