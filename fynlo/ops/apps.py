from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "fynlo.ops"
    label = "ops"

    def ready(self) -> None:
        from fynlo import checks  # noqa: F401  (registers itself)
