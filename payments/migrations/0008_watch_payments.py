"""What Prometheus is told about the money of all restaurants together: counts and ages, no rows."""

from django.db import migrations, models

WATCH = """
GRANT SELECT (provider, state, created_at) ON payments_paymentattempt TO fynlo_directory;
GRANT SELECT (received_at) ON payments_webhookevent TO fynlo_directory;
GRANT SELECT (id, intent_id) ON payments_paymentattempt TO fynlo_directory;
GRANT SELECT (id, restaurant_id, amount_minor) ON payments_paymentintent TO fynlo_directory;
GRANT SELECT (restaurant_id, account_id, is_online, is_active) ON payments_terminal TO fynlo_directory;
CREATE POLICY payments_paymentintent_tenant_directory ON payments_paymentintent
    FOR SELECT TO fynlo_directory USING (true);
CREATE POLICY payments_terminal_tenant_directory ON payments_terminal
    FOR SELECT TO fynlo_directory USING (true);

CREATE FUNCTION definer.watch_payments()
    RETURNS TABLE (figure text, provider text, state text, number bigint, seconds float8)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'open', a.provider, a.state, count(*), extract(epoch FROM now() - min(a.created_at))::float8
      FROM public.payments_paymentattempt a WHERE a.settled_at IS NULL GROUP BY a.provider, a.state
    UNION ALL
    SELECT 'webhooks', '', w.state, count(*), extract(epoch FROM now() - min(w.received_at))::float8
      FROM public.payments_webhookevent w WHERE w.state IN ('new', 'dead') GROUP BY w.state
    UNION ALL
    SELECT 'reserved', '', '', coalesce(sum(i.amount_minor), 0)::bigint, 0
      FROM public.payments_paymentattempt a JOIN public.payments_paymentintent i
           ON i.restaurant_id = a.restaurant_id AND i.id = a.intent_id
     WHERE a.settled_at IS NULL
    UNION ALL
    SELECT 'terminals', a.provider, '', count(*) FILTER (WHERE t.is_online), 0
      FROM public.payments_terminal t JOIN public.payments_provideraccount a
           ON a.restaurant_id = t.restaurant_id AND a.id = t.account_id
     WHERE t.is_active GROUP BY a.provider
$$;

-- Before the change of owner: fynlo_owner has none of fynlo_directory's rights.
REVOKE ALL ON FUNCTION definer.watch_payments() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION definer.watch_payments() TO fynlo_app, fynlo_platform;
ALTER FUNCTION definer.watch_payments() OWNER TO fynlo_directory;
"""
NO_WATCH = """
DROP FUNCTION definer.watch_payments();
DROP POLICY payments_terminal_tenant_directory ON payments_terminal;
DROP POLICY payments_paymentintent_tenant_directory ON payments_paymentintent;
REVOKE SELECT (restaurant_id, account_id, is_online, is_active) ON payments_terminal FROM fynlo_directory;
REVOKE SELECT (id, restaurant_id, amount_minor) ON payments_paymentintent FROM fynlo_directory;
REVOKE SELECT (id, intent_id) ON payments_paymentattempt FROM fynlo_directory;
REVOKE SELECT (received_at) ON payments_webhookevent FROM fynlo_directory;
REVOKE SELECT (provider, state, created_at) ON payments_paymentattempt FROM fynlo_directory;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_guard_closed_days")]

    operations = [
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("state", "dead")), fields=["restaurant"], name="payments_webhook_dead"
            ),
        ),
        migrations.RunSQL(WATCH, NO_WATCH),
    ]
