from django.apps import AppConfig
from django.core import checks
from django.db.backends.signals import connection_created


class TenancyConfig(AppConfig):
    name = "fynlo.tenancy"

    def ready(self) -> None:
        from .checks import check_database_role
        from .guard import install_guard

        connection_created.connect(install_guard, dispatch_uid="fynlo.tenancy.guard")
        checks.register(check_database_role, checks.Tags.database)
