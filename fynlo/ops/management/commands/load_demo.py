"""The demonstration: two restaurants to try everything in."""

import base64
import datetime
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.models import Authenticator, Device, Membership, Role, User
from accounts.services import create_device, create_membership, new_authenticator
from accounts.staff import Staff
from fynlo.tenancy.scope import restaurant_scope
from payments.models import Terminal
from payments.services.accounts import add_account
from restaurants.demo import MENU
from restaurants.menu_csv import read_menu_file
from restaurants.models import Floor, KitchenStation, Restaurant, Table, TaxClass, TaxRate
from restaurants.services import create_restaurant, import_menu

OWNER = ("owner@demo.example", "Olive Owner", "demo-owner-2026")
MANAGER = ("manager@demo.example", "Mia Manager", "demo-manager-2026")
STRANGER = ("stranger@demo.example", "Sam Stranger", "demo-stranger-2026")
PLATFORM = ("platform@demo.example", "Pat Platform", "demo-platform-2026")
TEAM = (("Ana", Role.WAITER, "4711"), ("Ben", Role.WAITER, "9382"), ("Cem", Role.KITCHEN, "5063"))
# Percent eating in, percent taking away: UK rates of 2026 (VAT Notice 709/1).
TAXES = {
    "Hot food": ("20", "20"),
    "Cold food": ("20", "0"),
    "Ice cream": ("20", "20"),
    "Soft drinks": ("20", "20"),
    "Alcohol": ("20", "20"),
}


class Command(BaseCommand):
    help = "Loads a demonstration into an empty database and prints its logins."

    def handle(self, **options: Any) -> None:
        if settings.PRODUCTION:
            self.stderr.write("Refused: a demonstration has well-known passwords, and this is production.")
            sys.exit(5)
        if settings.DB_ROLE != "platform":
            raise CommandError(
                "Making a restaurant needs the platform's login: DB_ROLE=platform.", returncode=2
            )
        if Restaurant.objects.exists():
            self.stderr.write(
                "Refused: there are restaurants already, and a demonstration needs an empty database."
            )
            sys.exit(5)
        with transaction.atomic():
            restaurant, codes = _copper_pot()
            stranger = create_restaurant(
                name="Stranger's Diner", slug="strangers-diner", owner=_user(*STRANGER)
            )
            secret = _platform_owner()
        self.stdout.write(_logins(restaurant, stranger, codes, secret))


def _copper_pot() -> tuple[Restaurant, dict[str, str]]:
    """The restaurant, and the join codes of its till and its kitchen screen."""
    _user(*MANAGER)
    restaurant = create_restaurant(
        name="The Copper Pot",
        slug="the-copper-pot",
        owner=_user(*OWNER),
        vat_number="GB 999 9999 73",
        address="12 Copper Lane\nLondon EX1 2PL",
        phone="020 7946 0000",
    )
    with restaurant_scope(restaurant.pk):
        owner = Membership.objects.get(role=Role.OWNER)
        by = Staff(restaurant.pk, owner.pk, owner.name, owner.role)
        _furnish()
        import_menu(read_menu_file(MENU.read_bytes(), currency=restaurant.currency))
        if settings.ENV.demo and settings.ENV.payments.square_base_url:
            _test_terminal()
        for member, role, pin in TEAM:
            create_membership(name=member, role=role, pin=pin, by=by)
        create_membership(name=MANAGER[1], role=Role.MANAGER, email=MANAGER[0], by=by)
        codes = {
            kind.label: create_device(name=f"Demo {kind.label.lower()}", kind=kind, by=by)[1]
            for kind in Device.Kind
        }
        # Long enough to look around; a real code lapses after minutes.
        Device.objects.update(join_code_expires_at=timezone.now() + datetime.timedelta(days=365))
    return restaurant, codes


def _test_terminal() -> None:
    """A card reader to try: the simulator of `script/server`, which speaks Square's API."""
    account = add_account(
        provider="square",
        secrets={"access_token": "demo-square-token", "webhook_signature_keys": ["demo-square-key"]},
        external_account_id="MLB95006C94960",
        location_id="LB95006C949600",
    )
    Terminal.objects.create(account=account, reader_id="test-terminal", label="Test terminal")


def _furnish() -> None:
    for position, (floor_name, tables) in enumerate({"Dining room": 10, "Terrace": 4}.items()):
        floor = Floor.objects.create(name=floor_name, position=position)
        for number in range(1, tables + 1):
            prefix = "T" if position == 0 else "P"
            Table.objects.create(floor=floor, name=f"{prefix}{number}", seats=4, position=number)
    for position, station in enumerate(["Grill", "Hot", "Cold", "Bar"]):
        KitchenStation.objects.create(name=station, position=position)
    for tax_name, (dine_in, takeaway) in TAXES.items():
        tax_class = TaxClass.objects.create(name=tax_name)
        if dine_in == takeaway:
            TaxRate.objects.create(tax_class=tax_class, percent=dine_in)
            continue
        TaxRate.objects.create(tax_class=tax_class, percent=dine_in, dining_mode=TaxRate.DiningMode.DINE_IN)
        TaxRate.objects.create(tax_class=tax_class, percent=takeaway, dining_mode=TaxRate.DiningMode.TAKEAWAY)


def _user(email: str, name: str, password: str) -> User:
    found = User.objects.filter(email_lower=email).first()
    return found or User.objects.create_user(email, password, name=name)


def _platform_owner() -> str:
    """The platform owner, who signs in with two factors; returns the secret of the second in base32."""
    email, name, password = PLATFORM
    user = _user(email, name, password)
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    device = Authenticator.objects.filter(user=user).first() or new_authenticator(user, "Demonstration")
    return base64.b32encode(device.bin_key).decode().rstrip("=")


def _logins(restaurant: Restaurant, stranger: Restaurant, codes: dict[str, str], secret: str) -> str:
    lines = [
        f"  {restaurant.name} is restaurant {restaurant.pk}",
        f"    owner          {OWNER[0]} / {OWNER[2]}",
        f"    manager        {MANAGER[0]} / {MANAGER[2]}",
        "    PINs           " + ", ".join(f"{name} {pin}" for name, _, pin in TEAM),
        *(f"    {kind:15}joins with the code {code}" for kind, code in codes.items()),
        f"  {stranger.name} is restaurant {stranger.pk}: {STRANGER[0]} / {STRANGER[2]}",
        f"  Platform owner {PLATFORM[0]} / {PLATFORM[2]}, second factor {secret}",
    ]
    return "\n".join(lines)
