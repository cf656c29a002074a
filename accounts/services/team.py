"""The team: who works here, as what, and with which PIN."""

from itertools import pairwise
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q

from accounts.errors import (
    AlreadyAMember,
    EmailIsSet,
    LastOwner,
    NameTaken,
    NotMyPin,
    OnlyOwners,
    PinTooEasy,
    WrongCurrentPin,
)
from accounts.models import Membership, Role, User
from accounts.payloads import staff_payload
from accounts.staff import Staff
from fynlo.errors import NotFound
from fynlo.events.log import record_event

from .sign_in import end_sessions, guess_pin


@transaction.atomic
def create_membership(*, name: str, role: str, by: Staff, email: str = "", pin: str = "") -> Membership:
    """Add somebody to the team.

    With an e-mail address the member is that user, who is made without a usable password where there
    is none yet: `manage.py changepassword` sets it. Raises OnlyOwners, NameTaken, AlreadyAMember or
    PinTooEasy.
    """
    _refuse_making_owners(by, role)
    _refuse_taken_name(name)
    membership = Membership(name=name, role=role)
    if email:
        membership.user = _find_or_make_user(email, name)
    if pin:
        membership.pin_hash = hash_pin(pin)
    membership.save()
    record_event("staff.added", membership.pk, staff_payload(membership), actor=by.actor)
    return membership


@transaction.atomic
def update_membership(
    membership_id: UUID,
    *,
    by: Staff,
    name: str | None = None,
    role: str | None = None,
    is_active: bool | None = None,
    email: str | None = None,
) -> Membership:
    """Change what is given. Raises NotFound, OnlyOwners, LastOwner, NameTaken, EmailIsSet or AlreadyAMember.

    All active owners are locked, so that two of them cannot demote each other at the same moment.
    """
    team = Membership.objects.select_for_update().order_by("pk")
    locked = list(team.filter(Q(pk=membership_id) | Q(role=Role.OWNER, is_active=True)))
    membership = next((m for m in locked if m.pk == membership_id), None)
    if membership is None:
        raise NotFound
    owners = [m for m in locked if m.role == Role.OWNER and m.is_active]
    _refuse_making_owners(by, membership.role, role)

    changes: dict[str, Any] = {"name": name, "role": role, "is_active": is_active}
    changed = [field for field, value in changes.items() if value not in (None, getattr(membership, field))]
    if "name" in changed:
        _refuse_taken_name(str(name))
    for field in changed:
        setattr(membership, field, changes[field])
    if owners == [membership] and (membership.role != Role.OWNER or not membership.is_active):
        raise LastOwner
    if email and _link_user(membership, email):
        changed.append("user")
    if not changed:
        return membership
    membership.save(update_fields=changed)
    if not membership.is_active:
        end_sessions(membership=membership)
    payload = {**staff_payload(membership), "changed": changed}
    record_event("staff.changed", membership.pk, payload, actor=by.actor)
    return membership


@transaction.atomic
def set_pin(membership_id: UUID, *, pin: str, by: Staff, address: str, current_pin: str = "") -> None:
    """Set a member's PIN; one's own needs the current one, anybody else's a manager.

    Raises NotFound, NotMyPin, OnlyOwners, PinTooEasy, WrongCurrentPin or LockedOut (see sign_in_with_pin).
    """
    membership = Membership.objects.select_for_update().filter(pk=membership_id).first()
    if membership is None:
        raise NotFound
    if membership.pk != by.membership_id:
        if not by.has_role(Role.MANAGER, Role.OWNER):
            raise NotMyPin
        _refuse_making_owners(by, membership.role)
    elif membership.pin_hash and not guess_pin(membership_id, membership, current_pin, address):
        raise WrongCurrentPin
    membership.pin_hash = hash_pin(pin)
    membership.save(update_fields=["pin_hash"])
    payload = {**staff_payload(membership), "changed": ["pin"]}
    record_event("staff.changed", membership.pk, payload, actor=by.actor)


def hash_pin(pin: str) -> str:
    """Raises PinTooEasy for what people try first: 0000, 1234, 9876, 2468, 1212, 2580."""
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    if len(steps) == 1 or pin == (pin[:2] * len(pin))[: len(pin)] or pin in ("2580", "0852"):
        raise PinTooEasy
    return make_password(pin)


def _refuse_making_owners(by: Staff, *roles: str | None) -> None:
    if Role.OWNER in roles and not by.has_role(Role.OWNER):
        raise OnlyOwners


def _refuse_taken_name(name: str) -> None:
    if Membership.objects.filter(name=name).exists():
        raise NameTaken(name)


def _link_user(membership: Membership, email: str) -> bool:
    """Give a member without a user one; False where it is this one already."""
    if membership.user:
        if membership.user.email_lower != email.lower():
            raise EmailIsSet
        return False
    membership.user = _find_or_make_user(email, membership.name)
    return True


def _find_or_make_user(email: str, name: str) -> User:
    user = User.objects.filter(email_lower=email.lower()).first()
    if user is None:
        return User.objects.create_user(email, name=name)
    if Membership.objects.filter(user=user).exists():
        raise AlreadyAMember
    return user
