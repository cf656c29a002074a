"""What about money a person has to look at. The same thing is one issue, however often it is found."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.staff import Staff
from fynlo.errors import DomainError, NotFound
from fynlo.events.log import record_event
from payments import metrics
from payments.models import ProviderAccount, ReconciliationIssue


class NoSuchIssue(NotFound):
    code = "no_such_issue"
    detail = "There is no such open issue here."


class ReasonMissing(DomainError):
    status = 422
    code = "reason_missing"
    detail = "Say how it was settled."


def raise_issue(kind: str, subject: str, **values: Any) -> ReconciliationIssue:
    """Open an issue; one that is open says what is known now, one that was settled is open again."""
    now = timezone.now()
    row, is_new = ReconciliationIssue.objects.get_or_create(
        kind=kind, subject=subject, defaults={**values, "found_at": now}
    )
    if is_new:
        account = ProviderAccount.objects.filter(pk=row.account_id).first() if row.account_id else None
        name = account.provider if account else "none"
        transaction.on_commit(lambda: metrics.ISSUES.labels(name, kind).inc(), robust=True)
        return row
    if row.resolved_at is not None:
        values |= {"found_at": now, "resolved_at": None, "resolved_by": None, "resolution": ""}
    if any(getattr(row, name) != value for name, value in values.items()):
        for name, value in values.items():
            setattr(row, name, value)
        row.save(update_fields=list(values))
    return row


def raise_again(kind: str, subject: str, **values: Any) -> None:
    """As `raise_issue`, for what is looked for every night: what a person settled stays so, while its
    amounts are the same."""
    amounts = {name: values.get(name) for name in ("ours_minor", "theirs_minor")}
    settled = ReconciliationIssue.objects.filter(kind=kind, subject=subject, resolved_by__isnull=False)
    if not settled.filter(**amounts).exists():
        raise_issue(kind, subject, **values)


def resolve_issue(kind: str, subject: str, resolution: str) -> None:
    """It settled itself."""
    ReconciliationIssue.objects.filter(kind=kind, subject=subject, resolved_at=None).update(
        resolved_at=timezone.now(), resolution=resolution
    )


@transaction.atomic
def settle_issue(issue_id: UUID, *, resolution: str, by: Staff) -> ReconciliationIssue:
    """Somebody says how it was settled. Raises NoSuchIssue and ReasonMissing."""
    row = ReconciliationIssue.objects.select_for_update().filter(pk=issue_id, resolved_at=None).first()
    if row is None:
        raise NoSuchIssue
    if not resolution.strip():
        raise ReasonMissing(field="resolution")
    row.resolved_at, row.resolved_by_id = timezone.now(), by.membership_id
    row.resolution = resolution.strip()
    row.save(update_fields=["resolved_at", "resolved_by", "resolution"])
    payload = {"id": str(row.pk), "kind": row.kind, "subject": row.subject, "resolution": row.resolution}
    record_event("issue.settled", row.pk, payload, actor=by.actor)
    return row
