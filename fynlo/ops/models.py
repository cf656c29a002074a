from django.db import models
from django.db.models.functions import Now

from fynlo.tenancy.fields import uuid7


class OpsRun(models.Model):
    """An operations command ran, and how it ended. Belongs to the installation, not to a restaurant."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    command = models.CharField(max_length=50)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(db_default=Now())
    exit_code = models.PositiveSmallIntegerField()
    message = models.CharField(max_length=500)

    class Meta:
        verbose_name = "operations run"
        indexes = [models.Index(fields=["command", "-ended_at"], name="ops_run_latest")]

    def __str__(self) -> str:
        return f"{self.command}: {self.exit_code}"
