from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "fynlo.ops"
    label = "ops"
