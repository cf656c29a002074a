"""What Prometheus is told about refunds on their way and disputes to answer, of all restaurants together."""

from django.db import migrations

WATCH = """
GRANT SELECT (restaurant_id, attempt_id, created_at, settled_at) ON payments_refund TO fynlo_directory;
GRANT SELECT (restaurant_id, attempt_id, status, evidence_due_at) ON payments_dispute TO fynlo_directory;
CREATE POLICY payments_dispute_tenant_directory ON payments_dispute
    FOR SELECT TO fynlo_directory USING (true);

-- A refund's seconds are its age, a dispute's what is left to answer it.
CREATE FUNCTION definer.watch_deadlines()
    RETURNS TABLE (figure text, provider text, number bigint, seconds float8)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'refunds', a.provider, count(*), extract(epoch FROM now() - min(r.created_at))::float8
      FROM public.payments_refund r JOIN public.payments_paymentattempt a
           ON a.restaurant_id = r.restaurant_id AND a.id = r.attempt_id
     WHERE r.settled_at IS NULL GROUP BY a.provider
    UNION ALL
    SELECT 'disputes', a.provider, count(*), extract(epoch FROM min(d.evidence_due_at) - now())::float8
      FROM public.payments_dispute d JOIN public.payments_paymentattempt a
           ON a.restaurant_id = d.restaurant_id AND a.id = d.attempt_id
     WHERE d.status = 'open' AND d.evidence_due_at > now() GROUP BY a.provider
$$;

-- Before the change of owner: fynlo_owner has none of fynlo_directory's rights.
REVOKE ALL ON FUNCTION definer.watch_deadlines() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION definer.watch_deadlines() TO fynlo_app, fynlo_platform;
ALTER FUNCTION definer.watch_deadlines() OWNER TO fynlo_directory;
"""
NO_WATCH = """
DROP FUNCTION definer.watch_deadlines();
DROP POLICY payments_dispute_tenant_directory ON payments_dispute;
REVOKE SELECT (restaurant_id, attempt_id, status, evidence_due_at) ON payments_dispute FROM fynlo_directory;
REVOKE SELECT (restaurant_id, attempt_id, created_at, settled_at) ON payments_refund FROM fynlo_directory;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0013_know_what_was_taken_offline")]

    operations = [migrations.RunSQL(WATCH, NO_WATCH)]
