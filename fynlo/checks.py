"""What `manage.py check` says about this place: settings that are allowed, and still a mistake."""

import importlib.util
import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from fynlo.redis_servers import identity


@register()
def check_redis(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A cache that may evict anything must not share its memory with work that waits in queues."""
    is_same = identity(settings.REDIS_CACHE_URL) == identity(settings.REDIS_URL)
    if not settings.PRODUCTION or settings.REDIS_SINGLE or not is_same:
        return []
    return [
        Error(
            "REDIS_CACHE_URL is the same server as REDIS_URL: a full cache would push out queued work.",
            hint="Run two, as docker/compose.yaml does; or set REDIS_SINGLE=1 where one evicts nothing.",
            id="fynlo.E001",
        )
    ]


@register()
def check_new_relic(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not settings.NEW_RELIC_LICENSE_KEY or importlib.util.find_spec("newrelic"):
        return []
    return [
        Warning(
            "NEW_RELIC_LICENSE_KEY is set, and New Relic's agent is not installed: nothing is reported.",
            hint="Add newrelic to the image and start processes by newrelic-admin, or leave the key out.",
            id="fynlo.W001",
        )
    ]


@register()
def check_supabase(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The key that steps over all of Supabase's own rules; nothing here reads it."""
    if not any(os.environ.get(f"SUPABASE_SERVICE_ROLE_KEY{suffix}") for suffix in ("", "_FILE")):
        return []
    return [
        Warning(
            "SUPABASE_SERVICE_ROLE_KEY is set, and nothing in Fynlo uses it.",
            hint="Take it out: it opens everything at Supabase to whoever gets hold of this environment.",
            id="fynlo.W002",
        )
    ]
