from django.contrib.admin.apps import AdminConfig


class FynloAdminConfig(AdminConfig):
    """The restaurants' back office is the default admin site; the platform console is another one."""

    default_site = "fynlo.backoffice.BackOfficeSite"
