"""The restaurants' back office: Django admin of one restaurant at a time."""

from django.contrib.admin import AdminSite


class BackOfficeSite(AdminSite):
    site_header = site_title = "Fynlo back office"
