"""How far the logs of several restaurants reach, in one look, for the process that serves their screens.

It sees across the fence, as fynlo_directory, numbers only: the events themselves are read inside it.
"""

from django.db import migrations

FIND = """
GRANT SELECT (restaurant_id, epoch, last_seq) ON events_streamhead TO fynlo_directory;
CREATE POLICY events_streamhead_tenant_directory ON events_streamhead FOR SELECT TO fynlo_directory USING (true);

CREATE FUNCTION definer.event_heads(ids int[])
    RETURNS TABLE (restaurant_id int, epoch uuid, last_seq bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.restaurant_id, h.epoch, h.last_seq
      FROM public.events_streamhead h WHERE h.restaurant_id = ANY (ids)
$$;

-- Before the change of owner: fynlo_owner has none of fynlo_directory's rights.
REVOKE ALL ON FUNCTION definer.event_heads(int[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION definer.event_heads(int[]) TO fynlo_app;
ALTER FUNCTION definer.event_heads(int[]) OWNER TO fynlo_directory;
"""

DO_NOT_FIND = """
DROP FUNCTION definer.event_heads(int[]);
DROP POLICY events_streamhead_tenant_directory ON events_streamhead;
REVOKE SELECT (restaurant_id, epoch, last_seq) ON events_streamhead FROM fynlo_directory;
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0002_append_only")]

    operations = [migrations.RunSQL(FIND, DO_NOT_FIND)]
