"""Payment accounts, readers and webhooks in the back office: to look at; keys are put in over the API."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet

from fynlo.office import OfficeAdmin, ReadOnlyAdmin, ReadOnlyInline
from payments.models import ProviderAccount, Terminal, WebhookEvent
from payments.services.cards import webhook_address
from payments.services.inbox import replay

SHOWN_BYTES = 20_000


class TerminalInline(ReadOnlyInline):
    model = Terminal
    fields = ["label", "is_online", "is_active", "device_type", "reader_id"]


@admin.register(ProviderAccount)
class ProviderAccountAdmin(ReadOnlyAdmin):
    empty_text = "No payment accounts yet: an owner adds one with its keys over the API."
    list_display = ["provider", "external_account_id", "key_hint", "status", "priority", "mode"]
    fields = [
        *["provider", "kind", "mode", "status", "status_detail", "external_account_id", "location_id"],
        *["key_hint", "webhook_url", "priority", "fee_percent", "fee_fixed", "application_fee_percent"],
        "created_at",
    ]
    readonly_fields = ["webhook_url", "fee_fixed"]
    inlines = [TerminalInline]

    @admin.display(description="webhook address, to enter at the provider")
    def webhook_url(self, account: ProviderAccount) -> str:
        return webhook_address(account)

    @admin.display(description="fee a payment")
    def fee_fixed(self, account: ProviderAccount) -> int:
        return account.fee_fixed_minor


@admin.register(WebhookEvent)
class WebhookEventAdmin(OfficeAdmin):
    """What providers told us. Replaying one asks the provider again, and does no harm."""

    empty_text = "No webhooks yet: they appear here as the providers send them."
    can_add = can_change = can_delete = False
    list_display = [
        "received_at",
        "provider",
        "kind",
        "object_ref",
        "state",
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

    @admin.display(description="as it came")
    def as_it_came(self, event: WebhookEvent) -> str:
        return bytes(event.raw)[:SHOWN_BYTES].decode(errors="replace")

    @admin.action(description="Ask the provider about these again", permissions=["view"])
    def replay_them(self, request: Any, queryset: QuerySet[WebhookEvent]) -> None:
        for event in queryset:
            replay(event.pk)
        messages.success(request, "They are taken up within seconds.")
