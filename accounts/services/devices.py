"""Devices: joining a till or a screen, and no longer trusting it."""

import datetime
import secrets
from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.errors import NameTaken, RestaurantSuspended, WrongCode
from accounts.lockout import guess
from accounts.models import Device
from accounts.payloads import device_payload
from accounts.staff import JoinedDevice, Staff
from accounts.tokens import hash_token, make_device_token
from fynlo.errors import NotFound
from fynlo.events.log import record_event
from fynlo.tenancy.scope import require_restaurant_id

from .sign_in import end_sessions

JOIN_CODE_LIFE = datetime.timedelta(minutes=10)
JOIN_CODE_LENGTH = 8
JOIN_CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # none that looks like another


@transaction.atomic
def create_device(*, name: str, kind: str, by: Staff) -> tuple[Device, str]:
    """Make a place for a till or screen, and the code by which it joins. Raises NameTaken."""
    _refuse_taken_name(name)
    device = Device(name=name, kind=kind)
    code = _give_code(device)
    device.save()
    record_event("device.created", device.pk, device_payload(device), actor=by.actor)
    return device, code


@transaction.atomic
def renew_join_code(device_id: UUID, *, by: Staff) -> tuple[Device, str]:
    """A new code for a device whose code lapsed, that was revoked, or whose tablet is replaced.

    What is joined stays so until the code is used. Raises NotFound.
    """
    device = _lock_device(device_id)
    code = _give_code(device)
    device.save(update_fields=["join_code_hash", "join_code_expires_at"])
    record_event("device.code_renewed", device.pk, device_payload(device), actor=by.actor)
    return device, code


@transaction.atomic
def join_device(code: str, *, address: str, kind: str | None = None) -> tuple[Device, str]:
    """Use a join code up and return the device with its token, which is shown this once.

    Where a `kind` is named, the code of another kind is not taken, so it is not used up either.

    Whatever was joined as this device before is not any more. Raises WrongCode, LockedOut or
    RestaurantSuspended.
    """
    normal = "".join(letter for letter in code.upper() if letter.isalnum())
    waiting = Device.objects.select_for_update(of=("self",)).select_related("restaurant")
    if kind:
        waiting = waiting.filter(kind=kind)
    find: Callable[[], Device | None] = waiting.filter(
        join_code_hash=hash_token(normal), join_code_expires_at__gt=timezone.now()
    ).first
    device = guess(find, address=address)
    if device is None:
        raise WrongCode
    if device.restaurant.status != "active":
        raise RestaurantSuspended
    token = make_device_token(require_restaurant_id())
    device.token_hash = hash_token(token)
    device.joined_at = device.last_seen_at = timezone.now()
    device.revoked_at = None
    device.join_code_hash, device.join_code_expires_at = "", None
    device.save()
    end_sessions(device=device)
    joined = JoinedDevice(require_restaurant_id(), device.pk, device.name, device.kind)
    record_event("device.joined", device.pk, device_payload(device), actor=joined.actor)
    return device, token


@transaction.atomic
def rename_device(device_id: UUID, *, name: str, by: Staff) -> Device:
    """Raises NotFound or NameTaken."""
    device = _lock_device(device_id)
    if device.name == name:
        return device
    _refuse_taken_name(name)
    device.name = name
    device.save(update_fields=["name"])
    record_event("device.changed", device.pk, device_payload(device), actor=by.actor)
    return device


@transaction.atomic
def revoke_device(device_id: UUID, *, by: Staff) -> Device:
    """Stop trusting a device: its token, its code and everybody signed in on it. Raises NotFound."""
    device = _lock_device(device_id)
    if device.revoked_at:
        return device
    device.revoked_at = timezone.now()
    device.token_hash = device.join_code_hash = ""
    device.join_code_expires_at = None
    device.save(update_fields=["revoked_at", "token_hash", "join_code_hash", "join_code_expires_at"])
    end_sessions(device=device)
    record_event("device.revoked", device.pk, device_payload(device), actor=by.actor)
    return device


def _lock_device(device_id: UUID) -> Device:
    device = Device.objects.select_for_update().filter(pk=device_id).first()
    if device is None:
        raise NotFound
    return device


def _give_code(device: Device) -> str:
    code = "".join(secrets.choice(JOIN_CODE_LETTERS) for _ in range(JOIN_CODE_LENGTH))
    device.join_code_hash = hash_token(code)
    device.join_code_expires_at = timezone.now() + JOIN_CODE_LIFE
    return code


def _refuse_taken_name(name: str) -> None:
    if Device.objects.filter(name=name).exists():
        raise NameTaken(name)
