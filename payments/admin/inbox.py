"""Webhooks in the back office: what providers told us, to look at and to work off once more."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.utils.html import format_html

from fynlo.office import OfficeAdmin
from payments.models import WebhookEvent
from payments.services.inbox import replay
from payments.tasks import sweep_soon

SHOWN_BYTES = 20_000


@admin.register(WebhookEvent)
class WebhookEventAdmin(OfficeAdmin):
    """What providers told us. Replaying one asks the provider again, and does no harm."""

    empty_text = "No webhooks yet: they appear here as the providers send them."
    can_add = can_change = can_delete = False
    list_display = [
        "received_at",
        "standing",
        "provider",
        "kind",
        "tries",
        "repeats",
        "last_error",
    ]
    list_filter = ["state", "provider"]
    ordering = ["-received_at"]
    fields = [
        *["provider", "account", "event_id", "kind", "object_ref", "state", "tries", "repeats"],
        *["last_error", "received_at", "processed_at", "next_try_at", "as_it_came"],
    ]
    readonly_fields = ["as_it_came"]
    actions = ["replay_them"]

    class Media:
        css: ClassVar = {"all": ["backoffice/accounts.css"]}

    @admin.display(description="state", ordering="state")
    def standing(self, event: WebhookEvent) -> str:
        if event.state != WebhookEvent.State.DEAD:
            return event.get_state_display()
        return format_html('<strong class="dead">{}</strong>', event.get_state_display())

    @admin.display(description="as it came")
    def as_it_came(self, event: WebhookEvent) -> str:
        return bytes(event.raw)[:SHOWN_BYTES].decode(errors="replace")

    @admin.action(description="Ask the provider about these again", permissions=["view"])
    def replay_them(self, request: Any, queryset: QuerySet[WebhookEvent]) -> None:
        for event in queryset:
            replay(event.pk)
        restaurant_id = request.staff.restaurant_id
        transaction.on_commit(lambda: sweep_soon(restaurant_id), robust=True)
        messages.success(request, "They are taken up within seconds.")
