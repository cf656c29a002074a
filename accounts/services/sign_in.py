"""Signing in and out."""

import datetime
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import update_last_login
from django.db import transaction
from django.utils import timezone

from accounts.directory import Workplace, my_restaurants
from accounts.errors import (
    LockedOut,
    NotAMember,
    RestaurantRequired,
    RestaurantSuspended,
    SignInFailed,
    WrongPin,
)
from accounts.lockout import guess
from accounts.models import Device, Membership, Role, StaffSession, User
from accounts.payloads import staff_payload
from accounts.staff import JoinedDevice, Staff
from accounts.supabase import verified_email
from accounts.tokens import make_session_token
from fynlo.errors import NotFound
from fynlo.events.log import record_event
from fynlo.ratelimit import limit, limit_address
from fynlo.tenancy.scope import require_restaurant_id, restaurant_scope


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: who signed in, where, and the token that says so until `expires_at`."""

    token: str
    expires_at: datetime.datetime
    restaurant_id: int
    restaurant_name: str
    staff: Staff


def sign_in_with_password(
    *, email: str, password: str, address: str, restaurant_id: int | None = None
) -> SignedIn:
    """Sign a person in to one of their restaurants; call it outside of any restaurant's scope.

    Raises SignInFailed or LockedOut; and once the password is right, RestaurantRequired, NotAMember
    or RestaurantSuspended.
    """
    user = authenticate_person(email=email, password=password, address=address)
    return _sign_in(user, restaurant_id, "password")


def sign_in_with_supabase(*, access_token: str, address: str, restaurant_id: int | None = None) -> SignedIn:
    """Sign in a person whom Supabase knows, to a restaurant where they are a member already.

    Call it outside of any scope: Supabase is asked over the network. Raises NotFound where Supabase is
    off, SignInFailed, SupabaseAway or TooManyRequests; then what `sign_in_with_password` does.
    """
    if not settings.SUPABASE_URL:
        raise NotFound
    limit_address("supabase", address)
    user = User.objects.filter(email_lower=verified_email(access_token).lower(), is_active=True).first()
    if user is None:
        raise SignInFailed("Nobody here has this e-mail address: ask a manager to add you to the team.")
    update_last_login(User, user)
    return _sign_in(user, restaurant_id, "supabase")


def _sign_in(user: User, restaurant_id: int | None, method: str) -> SignedIn:
    workplace = _choose_workplace(my_restaurants(user.pk), restaurant_id)
    if workplace.status != "active":
        raise RestaurantSuspended
    with restaurant_scope(workplace.restaurant_id):
        membership = Membership.objects.select_related("restaurant").get(user=user)
        return _start_session(membership, None, method)


def authenticate_person(*, email: str, password: str, address: str) -> User:
    """The active user with this e-mail address and password.

    Raises SignInFailed, LockedOut or TooManyRequests.

    The same hashing is done whether there is such a user or not. Call it outside of any scope: a
    lock-out is recorded in each restaurant where the person works.
    """

    def check() -> AbstractBaseUser | None:
        limit("password", email)
        limit_address("password by address", address)
        return authenticate(username=email, password=password)

    try:
        user = guess(
            check,
            account=f"password:{email.lower()}",
            address=address,
        )
    except LockedOut as lockout:
        if lockout.has_just_begun:
            _record_password_lockout(email)
        raise
    if not isinstance(user, User):
        raise SignInFailed
    update_last_login(User, user)
    return user


def _choose_workplace(workplaces: list[Workplace], restaurant_id: int | None) -> Workplace:
    if restaurant_id is None and len(workplaces) > 1:
        raise RestaurantRequired(restaurants=[{"id": w.restaurant_id, "name": w.name} for w in workplaces])
    for workplace in workplaces:
        if restaurant_id in (None, workplace.restaurant_id):
            return workplace
    raise NotAMember


@transaction.atomic
def approve_with_pin(*, membership_id: UUID, pin: str, address: str) -> Membership:
    """The manager or owner who consents to what a colleague does, by their PIN on that colleague's till.

    Raises WrongPin (also of somebody who may not consent) or LockedOut.
    """
    membership = (
        Membership.objects.filter(pk=membership_id, is_active=True, role__in=[Role.MANAGER, Role.OWNER])
        .exclude(user__is_active=False)
        .first()
    )
    if not guess_pin(membership_id, membership, pin, address):
        raise WrongPin(field="approval.pin")
    assert membership  # noqa: S101  (a right PIN is somebody's)
    return membership


@transaction.atomic
def sign_in_with_pin(device: JoinedDevice, *, membership_id: UUID, pin: str, address: str) -> SignedIn:
    """Sign a member in on a joined device. Raises WrongPin or LockedOut.

    A refusal rolls the caller's transaction back, so telling the restaurant of a lock-out is the
    caller's, afterwards: `record_lockout(lockout.membership_id)`.
    """
    membership = (
        Membership.objects.select_related("restaurant")
        .filter(pk=membership_id, is_active=True)
        .exclude(user__is_active=False)
        .first()
    )
    if not guess_pin(membership_id, membership, pin, address):
        raise WrongPin
    assert membership  # noqa: S101  (a right PIN is somebody's)
    Device.objects.filter(pk=device.device_id).update(last_seen_at=timezone.now())
    return _start_session(membership, device.device_id, "pin")


def guess_pin(membership_id: UUID, membership: Membership | None, pin: str, address: str) -> bool:
    """Whether this is the member's PIN; the same hashing is done where there is no such member."""
    pin_hash = membership.pin_hash if membership else ""
    try:
        return guess(lambda: check_password(pin, pin_hash), account=f"pin:{membership_id}", address=address)
    except LockedOut as lockout:
        lockout.membership_id = membership_id if lockout.has_just_begun else None
        raise


def _start_session(membership: Membership, device_id: UUID | None, method: str) -> SignedIn:
    lasts = datetime.timedelta(minutes=settings.SESSION_MINUTES)
    session = StaffSession.objects.create(
        membership=membership, device_id=device_id, expires_at=timezone.now() + lasts
    )
    restaurant_id = require_restaurant_id()
    staff = Staff(restaurant_id, membership.pk, membership.name, membership.role, session.pk, device_id)
    payload = {**staff_payload(membership), "method": method}
    record_event("staff.signed_in", membership.pk, payload, actor=staff.actor)
    return SignedIn(
        make_session_token(restaurant_id, session.pk, session.expires_at),
        session.expires_at,
        restaurant_id,
        membership.restaurant.name,
        staff,
    )


@transaction.atomic
def sign_out(by: Staff) -> None:
    """End the session; its token counts no more."""
    if by.session_id:
        StaffSession.objects.filter(pk=by.session_id, ended_at=None).update(ended_at=timezone.now())


@transaction.atomic
def record_lockout(membership_id: UUID) -> None:
    """Tell the restaurant that somebody used up the tries for a member's PIN or password."""
    membership = Membership.objects.filter(pk=membership_id).first()
    if membership:
        record_event("staff.locked_out", membership.pk, staff_payload(membership), actor={})


def _record_password_lockout(email: str) -> None:
    user = User.objects.filter(email_lower=email.lower()).first()
    for workplace in my_restaurants(user.pk) if user else []:
        with restaurant_scope(workplace.restaurant_id):
            record_lockout(Membership.objects.get(user=user).pk)


def end_sessions(**of: Membership | Device) -> None:
    """End all sessions of a member, or on a device."""
    StaffSession.objects.filter(ended_at=None, **of).update(ended_at=timezone.now())
