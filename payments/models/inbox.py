"""What providers tell us by themselves."""

from django.db import models

from fynlo.tenancy.models import TenantForeignKey, TenantModel

from .accounts import Provider, ProviderAccount


class WebhookEvent(TenantModel):
    """A provider's message, stored as it came before it was answered.

    It is a hint, never the truth: the worker asks the provider about `object_ref`. `event_id` is the
    provider's own; a repeat of it counts up `repeats` and is otherwise ignored.
    """

    class State(models.TextChoices):
        NEW = "new", "New"
        DONE = "done", "Done"
        IGNORED = "ignored", "Not about our payments"
        DEAD = "dead", "Given up"

    provider = models.CharField(max_length=20, choices=Provider)
    account = TenantForeignKey(ProviderAccount, models.PROTECT, db_index=False, related_name="webhooks")
    event_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=80)
    object_ref = models.CharField(max_length=120, blank=True)
    attempt_hint = models.UUIDField(null=True, blank=True)
    raw = models.BinaryField()
    headers = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    tries = models.PositiveSmallIntegerField(default=0)
    repeats = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True, blank=True)

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "payments_webhookevent"
        verbose_name = "webhook"
        ordering = ["-received_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "account", "event_id"], name="payments_webhookevent_id"
            )
        ]
        indexes = [
            models.Index(
                fields=["restaurant", "next_try_at"],
                name="payments_webhook_due",
                condition=models.Q(state="new"),
            ),
            models.Index(
                fields=["restaurant"], name="payments_webhook_dead", condition=models.Q(state="dead")
            ),
        ]
