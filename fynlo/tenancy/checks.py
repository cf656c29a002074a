"""A serving process must not be able to step over row-level security."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Critical
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

ROLE_QUERY = """
    SELECT current_user,
           r.rolsuper,
           r.rolbypassrls,
           EXISTS (SELECT 1 FROM pg_class c WHERE c.relowner = r.oid AND c.relkind IN ('r','p','v','m')),
           EXISTS (SELECT 1 FROM pg_roles o WHERE o.rolname = 'fynlo_owner'
                                              AND pg_has_role(r.oid, o.oid, 'MEMBER'))
      FROM pg_roles r WHERE r.rolname = current_user
"""


def role_problems(alias: str = "default") -> list[CheckMessage]:
    """What makes this connection's login unfit to serve requests."""
    with connections[alias].cursor() as cursor:
        cursor.execute(ROLE_QUERY)
        name, superuser, bypass, owns, owner = cursor.fetchone()
    found = {
        "E001": (superuser, "is a superuser"),
        "E002": (bypass, "may bypass row-level security"),
        "E003": (owns, "owns tables"),
        "E004": (owner, "is a member of fynlo_owner"),
    }
    return [
        Critical(f"The database login {name!r} {what}; serve with fynlo_app.", id=f"tenancy.{code}")
        for code, (is_wrong, what) in found.items()
        if is_wrong
    ]


def check_database_role(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    if settings.DB_ROLE == "migrator" or not databases:
        return []
    return [problem for alias in databases for problem in role_problems(alias)]


def refuse_unsafe_role() -> None:
    """Raise ImproperlyConfigured unless the login is fenced. Called once when a server starts."""
    problems = role_problems()
    if problems:
        raise ImproperlyConfigured(" ".join(problem.msg for problem in problems))
