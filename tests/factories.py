"""Plain functions that set a scene."""

import datetime
import uuid
from typing import Any

from django.utils import timezone

from accounts.models import Device, Membership, Role, StaffSession, User
from accounts.staff import JoinedDevice, Staff
from accounts.tokens import hash_token, make_device_token, make_session_token
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import (
    Floor,
    KitchenStation,
    MenuCategory,
    MenuItem,
    MenuItemModifierGroup,
    Modifier,
    ModifierGroup,
    Restaurant,
    Table,
    TaxClass,
    TaxRate,
)
from restaurants.services import create_restaurant
from tests.databases import database_role

_device_tokens: dict[uuid.UUID, str] = {}


def make_user(name: str = "Olive Owner", **fields: Any) -> User:
    """A user with an address of its own and no usable password (tests that sign in set one)."""
    return User.objects.create_user(f"{uuid.uuid4().hex[:12]}@example.test", name=name, **fields)


def make_restaurant(name: str, *, menu: bool = True, **fields: Any) -> Restaurant:
    """A restaurant of its own, with the floor and menu of `make_menu`."""
    with database_role("platform"):
        restaurant = create_restaurant(
            name=name, slug=f"r-{uuid.uuid4().hex[:16]}", owner=make_user(), **fields
        )
    if menu:
        make_menu(restaurant)
    return restaurant


def make_menu(restaurant: Restaurant) -> None:
    """Tables T1 to T3; Grill and Bar; Burger 12.50 (20 %, choose a Doneness, Extras), Fries 4.25, Cake 5.95
    (cold food: 20 % eating in, 0 % taking away), Lager 6.10."""
    with restaurant_scope(restaurant.pk):
        floor = Floor.objects.create(name="Main room")
        for position, name in enumerate(["T1", "T2", "T3"]):
            Table.objects.create(floor=floor, name=name, position=position)
        grill = KitchenStation.objects.create(name="Grill", position=0)
        bar = KitchenStation.objects.create(name="Bar", position=1)
        standard = TaxClass.objects.create(name="Standard")
        cold = TaxClass.objects.create(name="Cold food")
        TaxRate.objects.create(tax_class=standard, percent="20")
        TaxRate.objects.create(tax_class=cold, percent="20", dining_mode=TaxRate.DiningMode.DINE_IN)
        TaxRate.objects.create(tax_class=cold, percent="0", dining_mode=TaxRate.DiningMode.TAKEAWAY)
        mains = MenuCategory.objects.create(name="Mains", position=0)
        drinks = MenuCategory.objects.create(name="Drinks", position=1)
        doneness = ModifierGroup.objects.create(name="Doneness", min_select=1, max_select=1)
        extras = ModifierGroup.objects.create(name="Extras", min_select=0, max_select=2)
        for position, (group, name, price) in enumerate(
            [
                (doneness, "Rare", 0),
                (doneness, "Well done", 0),
                (extras, "Bacon", 150),
                (extras, "Cheese", 100),
            ]
        ):
            Modifier.objects.create(group=group, name=name, price_minor=price, position=position)
        rows = [
            (mains, standard, grill, "BURGER", "Burger", 1250),
            (mains, standard, grill, "FRIES", "Fries", 425),
            (mains, cold, grill, "CAKE", "Cake", 595),
            (drinks, standard, bar, "LAGER", "Lager", 610),
        ]
        for position, (category, tax_class, station, code, name, price) in enumerate(rows):
            item = MenuItem.objects.create(
                category=category,
                tax_class=tax_class,
                station=station,
                code=code,
                name=name,
                price_minor=price,
                position=position,
            )
            if code == "BURGER":
                MenuItemModifierGroup.objects.create(item=item, group=doneness, position=0)
                MenuItemModifierGroup.objects.create(item=item, group=extras, position=1)


def staff(restaurant: Restaurant, role: Role, name: str | None = None) -> Staff:
    """A member of the team who has just signed in by password (no device)."""
    with restaurant_scope(restaurant.pk):
        membership = Membership.objects.create(
            user=make_user(), name=name or f"{Role(role).label} {uuid.uuid4().hex[:6]}", role=role
        )
        session = StaffSession.objects.create(
            membership=membership, expires_at=timezone.now() + datetime.timedelta(hours=12)
        )
    return Staff(restaurant.pk, membership.pk, membership.name, membership.role, session.pk, None)


def device(restaurant: Restaurant, kind: str = Device.Kind.TILL) -> JoinedDevice:
    """A device that has joined; `token_of` gives its token."""
    token = make_device_token(restaurant.pk)
    with restaurant_scope(restaurant.pk):
        row = Device.objects.create(
            name=f"{kind} {uuid.uuid4().hex[:6]}",
            kind=kind,
            token_hash=hash_token(token),
            joined_at=timezone.now(),
        )
    _device_tokens[row.pk] = token
    return JoinedDevice(restaurant.pk, row.pk, row.name, row.kind)


def token_of(caller: Staff | JoinedDevice) -> str:
    """The bearer token of someone this module signed in."""
    if isinstance(caller, JoinedDevice):
        return _device_tokens[caller.device_id]
    assert caller.session_id
    expires_at = timezone.now() + datetime.timedelta(hours=12)
    return make_session_token(caller.restaurant_id, caller.session_id, expires_at)
