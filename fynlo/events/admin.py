"""What happened, in the back office: to look at."""

import json
from typing import Any

from django.contrib import admin
from django.utils.html import format_html

from fynlo.office import ReadOnlyAdmin

from .models import Event


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["seq", "created_at", "kind", "who"]
    search_fields = ["kind"]
    ordering = ["-seq"]
    fields = ["seq", "created_at", "kind", "subject_id", "who", "document"]
    readonly_fields = ["who", "document"]

    @admin.display(description="who")
    def who(self, event: Event) -> str:
        return event.actor.get("name") or "Fynlo"

    @admin.display(description="payload")
    def document(self, event: Event) -> Any:
        return format_html("<pre>{}</pre>", json.dumps(event.payload, indent=2, ensure_ascii=False))
