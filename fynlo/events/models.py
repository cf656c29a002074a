"""The event log: what happened in a restaurant, in order, without gaps."""

import uuid

from django.db import models

from fynlo.tenancy.models import TenantModel


class StreamHead(TenantModel):
    """How far a restaurant's log reaches.

    `last_seq` is raised in the transaction that writes the event, and its row lock is held until
    commit: so numbers have no gaps and commit in order. `epoch` changes when numbers may repeat
    (after a restore from a backup), which tells screens to start afresh. Events below `min_seq`
    have been archived.
    """

    epoch = models.UUIDField(default=uuid.uuid4)
    last_seq = models.BigIntegerField(default=0)
    min_seq = models.BigIntegerField(default=1)

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "events_streamhead"
        constraints = [models.UniqueConstraint(fields=["restaurant"], name="events_streamhead_restaurant")]


class Event(TenantModel):
    """One thing that happened: audit row, outbox row and websocket message in one. Never edited.

    `kind` is past tense, such as `order.opened`; `subject_id` is the row it happened to; `payload`
    is that subject in full after the event, as the API shows it. `actor` says who:
    {"membership": id, "name": text, "device": id or null}, or {} for the system.
    """

    seq = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    subject_id = models.UUIDField()
    payload = models.JSONField()
    actor = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "events_event"
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["restaurant", "seq"], name="events_event_seq")]
        indexes = [models.Index(fields=["restaurant", "subject_id", "seq"], name="events_event_subject")]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"
