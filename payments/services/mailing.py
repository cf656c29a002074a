"""Receipts by e-mail: queued with the till's request, sent by the worker, tried again when that fails.

A mail may arrive twice, where a worker dies between handing it over and writing so; never not at all
without saying so.
"""

import datetime
import email.utils
import logging
from uuid import UUID

from anymail.exceptions import AnymailAPIError, AnymailError, AnymailInvalidAddress, AnymailRecipientsRefused
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.db import connection, transaction
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.staff import Staff
from fynlo.errors import InvalidInput
from fynlo.events.log import record_event
from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope
from payments.errors import NoReceipt
from payments.models import Receipt, ReceiptDelivery
from payments.payloads import delivery_payload
from payments.providers.errors import CallInsideTransaction
from payments.receipts import shown

logger = logging.getLogger(__name__)

BATCH = 20
SAME_REQUEST = datetime.timedelta(minutes=1)
# After each try that failed; a try after the last of them that fails too is the end.
WAITS = [datetime.timedelta(minutes=minutes) for minutes in (1, 5, 30, 120)]


@transaction.atomic(savepoint=False)
def mail_receipt(order_id: UUID, *, address: str, by: Staff) -> ReceiptDelivery:
    """Queue a receipt for a guest. Asked for again within a minute, while it waits, it is the same mail.

    Raises NoReceipt, and InvalidInput for what is no address.
    """
    try:
        validate_email(address)
    except ValidationError as error:
        raise InvalidInput("This is not an e-mail address.", field="address") from error
    receipt = Receipt.objects.select_for_update().filter(order=order_id).first()
    if receipt is None:
        raise NoReceipt
    now = timezone.now()
    queued = receipt.deliveries.select_related("receipt").filter(state=ReceiptDelivery.State.QUEUED)
    same = queued.filter(address__iexact=address, created_at__gt=now - SAME_REQUEST).first()
    if same is not None:
        return same
    delivery = ReceiptDelivery.objects.create(
        receipt=receipt, address=address, address_hint=hint_of(address), next_try_at=now, created_at=now
    )
    record_event("receipt.mail_queued", receipt.pk, delivery_payload(delivery), actor=by.actor)
    return delivery


def send_due_receipts() -> int:
    """Send what waits in the bound restaurant, each outside any transaction; answers how many were sent.

    Where the mail service is away a delivery is tried again after 1, 5, 30 and 120 minutes; it fails at
    once where the address is refused.
    """
    if connection.in_atomic_block:
        raise CallInsideTransaction("Mail is sent inside a transaction: commit first.")
    sent = 0
    for delivery_id in _claim():
        sent += _send(delivery_id)
    return sent


def _claim() -> list[UUID]:
    """The deliveries that are due, now this worker's: to others they are due after their next wait."""
    now = timezone.now()
    with restaurant_scope(require_restaurant_id()):
        due = ReceiptDelivery.objects.select_for_update(skip_locked=True)
        due = due.filter(state=ReceiptDelivery.State.QUEUED, next_try_at__lte=now)
        claimed = list(due.order_by("next_try_at", "pk")[:BATCH])
        for delivery in claimed:
            delivery.tries += 1
            delivery.next_try_at = now + WAITS[min(delivery.tries, len(WAITS)) - 1]
        ReceiptDelivery.objects.bulk_update(claimed, ["tries", "next_try_at"])
    return [delivery.pk for delivery in claimed]


def _send(delivery_id: UUID) -> bool:
    with restaurant_scope(require_restaurant_id()):
        delivery = ReceiptDelivery.objects.select_related("receipt").get(pk=delivery_id)
    message = receipt_message(delivery.receipt, delivery.address)
    try:
        message.send()
    except (AnymailError, OSError) as error:
        logger.warning("Receipt delivery %s failed: %s", delivery_id, _reason(error))
        is_over = _is_definite(error) or delivery.tries > len(WAITS)
        _record(delivery, error=_reason(error), state=ReceiptDelivery.State.FAILED if is_over else None)
        return False
    status = getattr(message, "anymail_status", None)
    _record(
        delivery, state=ReceiptDelivery.State.SENT, message_id=str(getattr(status, "message_id", "") or "")
    )
    return True


def _record(delivery: ReceiptDelivery, *, state: str | None, message_id: str = "", error: str = "") -> None:
    """Write how a try ended. Once it is over the address is not kept."""
    delivery.last_error = error
    if state is not None:
        delivery.state, delivery.address, delivery.message_id = state, "", message_id[:120]
        delivery.sent_at = timezone.now() if state == ReceiptDelivery.State.SENT else None
    with restaurant_scope(require_restaurant_id()):
        delivery.save(update_fields=["state", "address", "message_id", "last_error", "sent_at"])
        if state is not None:
            kind = "receipt.mailed" if state == ReceiptDelivery.State.SENT else "receipt.mail_failed"
            record_event(kind, delivery.receipt_id, delivery_payload(delivery), actor={})


def receipt_message(receipt: Receipt, address: str) -> EmailMultiAlternatives:
    """The receipt as text and as HTML, from the restaurant's name at our own address."""
    context = shown(receipt.content)
    name = context["seller"]["name"]
    sender = email.utils.parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    message = EmailMultiAlternatives(
        subject=f"Your receipt from {name}",
        body=render_to_string("receipts/mail.txt", context),
        from_email=email.utils.formataddr((name, sender)),
        to=[address],
    )
    message.attach_alternative(render_to_string("receipts/mail.html", context), "text/html")
    return message


def hint_of(address: str) -> str:
    """An address as far as it may be kept: o…@example.com."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"[:120]


def _is_definite(error: Exception) -> bool:
    """Whether another try cannot end differently: the address or the mail itself was refused."""
    if isinstance(error, AnymailInvalidAddress | AnymailRecipientsRefused):
        return True
    return isinstance(error, AnymailAPIError) and error.status_code in (400, 413, 422)


def _reason(error: Exception) -> str:
    """What went wrong, without what the service says: that may name the guest."""
    status = getattr(error, "status_code", None)
    return f"HTTP {status}" if status else type(error).__name__
