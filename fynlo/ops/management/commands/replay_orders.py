"""Play a year of real orders through the API: `manage.py replay_orders FOLDER`."""

import datetime
import json
import multiprocessing
import queue
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils import timezone
from tqdm import tqdm

from accounts.models import Membership, Role, StaffSession, User
from accounts.tokens import make_session_token
from fynlo.money import format_money
from fynlo.ops import replay
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order, OrderItem
from orders.services.sales import drain_sales
from restaurants.models import KitchenStation, MenuCategory, MenuItem, Restaurant, TaxClass, TaxRate
from restaurants.services import create_restaurant

SLUG = "pizza-place"
OWNER_EMAIL = "owner@pizza.example"
SESSION_HOURS = 12

Totals = dict[str, list[int]]  # by month, and "all": orders, items, revenue in minor units


class Command(BaseCommand):
    help = (
        "Creates a restaurant from the four CSV files of FOLDER and plays their orders through the running "
        "API, several tills at once. May be interrupted and run again: it goes on where it was. Exit codes: "
        "0 all played and the totals agree, 2 usage, 3 the totals differ, 6 the API does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--tills", type=int, default=4, help="How many tills play at once (4).")
        parser.add_argument("--limit", type=int, help="Play only the first LIMIT orders.")
        parser.add_argument("--base-url", default=settings.BASE_URL, help="Where the API is.")
        parser.add_argument("--slug", default=SLUG, help=f"The restaurant's slug ({SLUG}).")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(
        self, *, folder: Path, tills: int, limit: int | None, base_url: str, slug: str, **options: Any
    ) -> None:
        if settings.DB_ROLE != "platform":
            raise CommandError(
                "Creating a restaurant needs the platform's login: DB_ROLE=platform.", returncode=2
            )
        try:
            year = replay.read_year(folder, slug)
        except FileNotFoundError as error:
            raise CommandError(f"{error.filename} is missing.", returncode=2) from error
        for bad in year.bad_lines:
            self.stderr.write(f"{bad.file} line {bad.line}: {bad.reason}")
        orders = year.orders[:limit]
        restaurant = self._restaurant(slug, year)
        played = _played(restaurant)
        left = [order for order in orders if order.id("order") not in played]
        if played:
            self.stderr.write(f"{len(orders) - len(left)} of {len(orders)} orders were played before.")
        self._play(restaurant, left, tills=tills, base_url=base_url.rstrip("/"))
        drain_sales()
        ids = played | {order.id("order") for order in orders}
        expected = [order for order in year.orders if order.id("order") in ids]
        wanted = _totals_of_files(restaurant, expected, year.menu)
        found = _totals_of_restaurant(restaurant)
        self._report(restaurant, found, year.bad_lines, as_json=options["json"])
        if found != wanted:
            self.stderr.write(f"The files say {wanted['all']}, the restaurant's books say {found['all']}.")
            sys.exit(3)

    def _restaurant(self, slug: str, year: replay.Year) -> Restaurant:
        restaurant = Restaurant.objects.filter(slug=slug).first()
        if restaurant is None:
            owner = User.objects.filter(email_lower=OWNER_EMAIL).first()
            owner = owner or User.objects.create_user(OWNER_EMAIL, name="Pizza Owner")
            restaurant = create_restaurant(
                name="Pizza Place", slug=slug, owner=owner, currency=replay.CURRENCY, timezone=replay.TIMEZONE
            )
        with restaurant_scope(restaurant.pk):
            _load_menu(year)
        return restaurant

    def _play(
        self, restaurant: Restaurant, orders: Sequence[replay.PastOrder], *, tills: int, base_url: str
    ) -> None:
        if not orders:
            return
        with restaurant_scope(restaurant.pk):
            token = _owner_token(restaurant)
            item_ids = {item.code: str(item.pk) for item in MenuItem.objects.all()}
        connections.close_all()
        context = multiprocessing.get_context("spawn")
        done: Any = context.Queue()
        processes = [
            context.Process(
                target=replay.play_orders,
                args=(base_url, restaurant.pk, token, item_ids, orders[n::tills], done),
            )
            for n in range(tills)
        ]
        for process in processes:
            process.start()
        try:
            with tqdm(total=len(orders), unit="order", smoothing=0.05, mininterval=0.5) as bar:
                _wait_for(processes, done, bar)
        finally:
            for process in processes:
                process.terminate()
                process.join()

    def _report(
        self,
        restaurant: Restaurant,
        totals: dict[str, list[int]],
        bad: list[replay.BadLine],
        *,
        as_json: bool,
    ) -> None:
        if as_json:
            result = {
                "restaurant_id": restaurant.pk,
                "totals": {
                    month: {"orders": orders, "items": items, "revenue_minor": revenue}
                    for month, (orders, items, revenue) in totals.items()
                },
                "bad_lines": [{"file": b.file, "line": b.line, "reason": b.reason} for b in bad],
            }
            self.stdout.write(json.dumps(result))
            return
        self.stdout.write(f"{'':10}{'orders':>10}{'items':>10}{'revenue':>16}")
        for month, (orders, items, revenue) in totals.items():
            self.stdout.write(
                f"{month:10}{orders:>10,}{items:>10,}{format_money(revenue, replay.CURRENCY):>16}"
            )
        self.stdout.write(f"Restaurant {restaurant.pk} ({restaurant.slug}); {len(bad)} bad lines left out.")


def _wait_for(processes: Sequence[Any], done: Any, bar: Any) -> None:
    while bar.n < bar.total:
        try:
            news = done.get(timeout=5)
        except queue.Empty:
            if not any(process.is_alive() for process in processes):
                raise CommandError(
                    "The tills stopped before the end; run the command again.", returncode=6
                ) from None
            continue
        if news is not True:
            raise CommandError(news, returncode=6)
        bar.update()


def _owner_token(restaurant: Restaurant) -> str:
    """A sign-in of the owner without a device: who alone may say when a past order was."""
    owner = Membership.objects.get(role=Role.OWNER, user__email_lower=OWNER_EMAIL)
    expires_at = timezone.now() + datetime.timedelta(hours=SESSION_HOURS)
    session = StaffSession.objects.create(membership=owner, expires_at=expires_at)
    return make_session_token(restaurant.pk, session.pk, expires_at)


def _load_menu(year: replay.Year) -> None:
    """The menu of the files: one station, no tax, one item for each pizza and size."""
    station, _ = KitchenStation.objects.get_or_create(name="Oven")
    tax_class, made = TaxClass.objects.get_or_create(name="No tax")
    if made:
        TaxRate.objects.create(tax_class=tax_class, percent=0)
    categories: dict[str, MenuCategory] = {}
    for position, pizza in enumerate(year.menu.values()):
        if pizza.category not in categories:
            categories[pizza.category], _ = MenuCategory.objects.get_or_create(name=pizza.category)
        MenuItem.objects.get_or_create(
            code=pizza.code,
            defaults={
                "name": pizza.name,
                "description": pizza.description,
                "price_minor": pizza.price_minor,
                "category": categories[pizza.category],
                "station": station,
                "tax_class": tax_class,
                "position": position,
            },
        )


def _played(restaurant: Restaurant) -> set[Any]:
    with restaurant_scope(restaurant.pk):
        return set(Order.objects.filter(status=Order.Status.CLOSED).values_list("pk", flat=True))


def _totals_of_files(
    restaurant: Restaurant, orders: Sequence[replay.PastOrder], menu: dict[str, replay.Pizza]
) -> Totals:
    """What the files add up to, by the month of the restaurant's business day."""
    return _by_month(
        (
            f"{restaurant.business_date(order.at):%Y-%m}",
            1,
            sum(quantity for _, quantity in order.lines),
            sum(menu[code].price_minor * quantity for code, quantity in order.lines),
        )
        for order in orders
    )


def _totals_of_restaurant(restaurant: Restaurant) -> Totals:
    """The same as the restaurant's closed orders have it."""
    with restaurant_scope(restaurant.pk):
        closed = Order.objects.filter(status=Order.Status.CLOSED)
        quantities: Counter[Any] = Counter()
        for order_id, quantity in OrderItem.objects.filter(
            restaurant_id=restaurant.pk, order__status=Order.Status.CLOSED, status=OrderItem.Status.SENT
        ).values_list("order_id", "quantity"):
            quantities[order_id] += quantity
        return _by_month(
            (f"{day:%Y-%m}", 1, quantities[order_id], total)
            for order_id, day, total in closed.values_list("pk", "business_date", "total_minor")
        )


def _by_month(rows: Iterator[tuple[str, int, int, int]]) -> Totals:
    totals: Totals = defaultdict(lambda: [0, 0, 0])
    for month, *numbers in rows:
        for key in (month, "all"):
            totals[key] = [a + b for a, b in zip(totals[key], numbers, strict=True)]
    months = sorted(key for key in totals if key != "all")
    return {key: totals[key] for key in [*months, "all"]}
