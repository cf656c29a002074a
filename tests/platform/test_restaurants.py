"""Making, suspending and resuming restaurants; looking at everything and changing nothing else."""

import re
import uuid
from datetime import date

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import clear_url_caches

from accounts.models import Membership, Role, User
from fynlo.events.models import Event
from fynlo.platform_console import platform_site
from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from payments.models import PaymentIntent
from restaurants.models import Counter, Restaurant
from tests import factories
from tests.databases import database_role
from tests.reports.scene import make_order

WRITABLE = {(Restaurant, "add")}


def new_restaurant(**fields):
    slug = f"new-{uuid.uuid4().hex[:8]}"
    email = f"{uuid.uuid4().hex[:8]}@example.test"
    return {"name": "The Blue Spoon", "slug": slug, "currency": "EUR", "timezone": "Europe/Dublin"} | {
        "owner_email": email,
        "owner_name": "Oona Owner",
        **fields,
    }


def test_a_new_restaurant_has_an_owner_who_sets_a_password_by_link(console, text):
    form = new_restaurant()
    answer = console.post("/restaurants/restaurant/add/", form)
    assert answer.status_code == 200
    link = re.search(r"/set-password/[^<]+", text(answer))[0]
    restaurant = Restaurant.objects.get(slug=form["slug"])
    assert (restaurant.name, restaurant.currency, restaurant.status) == ("The Blue Spoon", "EUR", "active")
    assert Counter.objects.filter(restaurant=restaurant).count() == 2
    member = Membership.objects.get(restaurant=restaurant)
    assert (member.role, member.user.email, member.name) == (Role.OWNER, form["owner_email"], "Oona Owner")

    with database_role("app"), override_settings(ROOT_URLCONF="fynlo.urls"):
        clear_url_caches()
        browser = Client()
        page = browser.get(link, follow=True)
        assert form["owner_email"] in text(page)
        words = {"new_password1": "soup of the day 7", "new_password2": "soup of the day 7"}
        assert browser.post(page.request["PATH_INFO"], words).headers["Location"] == "/admin/"
        assert User.objects.get(email=form["owner_email"]).check_password("soup of the day 7")
        assert "used before" in text(Client().get(link, follow=True))  # once only
    clear_url_caches()


def test_an_owner_who_has_a_password_gets_no_link(console, text):
    user = factories.make_user()
    user.set_password("soup of the day 7")
    user.save()
    form = new_restaurant(owner_email=user.email.upper())
    answer = console.post("/restaurants/restaurant/add/", form, follow=True)
    assert "set-password" not in text(answer)
    assert Membership.objects.get(restaurant__slug=form["slug"]).user == user


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"slug": "taken"}, "Restaurant with this Slug already exists."),
        ({"owner_email": "nobody"}, "Enter a valid email address."),
        ({"timezone": "Europe/Atlantis"}, "is not a time zone"),
        ({"name": ""}, "This field is required."),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_made(console, text, wrong, error):
    taken = factories.make_restaurant("Taken", menu=False)
    form = new_restaurant(**wrong)
    if "slug" in wrong:
        form["slug"] = taken.slug
    before = Restaurant.objects.count()
    answer = console.post("/restaurants/restaurant/add/", form)
    assert answer.status_code == 200
    assert error in text(answer)
    assert Restaurant.objects.count() == before
    assert not User.objects.filter(email=form["owner_email"]).exists()


def test_suspending_asks_first_and_is_told_to_the_restaurant(console, platform_owner, restaurant, text):
    page = f"/restaurants/restaurant/{restaurant.pk}/suspend/"
    assert "Nothing is lost" in text(console.get(page))
    restaurant.refresh_from_db()
    assert restaurant.status == "active"

    assert console.post(page).status_code == 302
    restaurant.refresh_from_db()
    assert restaurant.status == "suspended"
    event = Event.objects.filter(restaurant=restaurant).order_by("-seq").first()
    assert (event.kind, event.payload["status"], event.actor["name"]) == (
        "restaurant.suspended",
        "suspended",
        "Pat Platform",
    )
    again = console.post(page, follow=True)
    assert "is suspended already" in text(again)

    assert console.post(f"/restaurants/restaurant/{restaurant.pk}/resume/").status_code == 302
    restaurant.refresh_from_db()
    assert restaurant.status == "active"
    kinds = list(Event.objects.filter(restaurant=restaurant).order_by("seq").values_list("kind", flat=True))
    assert kinds[-2:] == ["restaurant.suspended", "restaurant.resumed"]


def test_a_suspended_restaurant_is_not_served(console, restaurant, owner, api):
    console.post(f"/restaurants/restaurant/{restaurant.pk}/suspend/")
    with database_role("app"), override_settings(ROOT_URLCONF="fynlo.urls"):
        clear_url_caches()
        answer = api(owner).get("me")
    clear_url_caches()
    assert (answer.status_code, answer.json()["code"]) == (403, "restaurant_suspended")


def test_the_list_says_who_how_much_and_when(console, restaurant, text):
    today = restaurant.business_date(factories.timezone.now())
    with restaurant_scope(restaurant.pk):
        for _ in range(3):
            make_order(today, 100)
        make_order(date(2020, 1, 1), 100)
    owner = Membership.objects.get(restaurant=restaurant, role=Role.OWNER)
    page = text(console.get(f"/restaurants/restaurant/?q={restaurant.slug}"))
    assert "1 restaurant" in page
    assert owner.user.email in page
    assert '<td class="field-orders_today">3</td>' in page


@pytest.mark.parametrize("model", platform_site._registry)
def test_lists_cost_the_same_with_more_rows(console, model):
    path = f"/{model._meta.app_label}/{model._meta.model_name}/"
    counts = []
    for _ in range(2):
        counts.append(_queries(console, path))
        shop = factories.make_restaurant("One more", menu=False)
        with restaurant_scope(shop.pk):
            order = make_order(date(2026, 5, 1), 100)
            PaymentIntent.objects.create(
                order=order,
                method="cash",
                amount_minor=100,
                client_key=uuid.uuid4(),
                request_hash="",
                business_date=order.business_date,
                taken_by=order.opened_by,
                created_at=order.opened_at,
            )
    assert counts[0] == counts[1]


def _queries(client, path):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.mark.parametrize("model", platform_site._registry)
def test_nothing_else_can_be_written(console, restaurant, model):
    with restaurant_scope(restaurant.pk):
        order = make_order(date(2026, 5, 1), 100)
    rows = {Restaurant: restaurant.pk, User: factories.make_user().pk, Order: order.pk}
    base = f"/{model._meta.app_label}/{model._meta.model_name}/"
    row = rows.get(model, uuid.uuid4())
    if (model, "add") not in WRITABLE:
        assert console.post(f"{base}add/", {}).status_code == 403
    if model in rows:
        assert console.get(f"{base}{row}/change/").status_code == 200
        assert console.post(f"{base}{row}/change/", {"name": "x"}).status_code == 403
        assert console.post(f"{base}{row}/delete/", {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": str(row), "post": "yes"}
    assert console.post(base, action).status_code in (200, 302)
    if model in rows:
        assert model._default_manager.filter(pk=row).exists()


def test_people_are_deactivated_but_not_oneself(console, platform_owner, text):
    user = factories.make_user("Wanda Waiter")
    assert console.post(f"/accounts/user/{user.pk}/deactivate/").status_code == 302
    user.refresh_from_db()
    assert user.is_active is False
    console.post(f"/accounts/user/{user.pk}/reactivate/")
    user.refresh_from_db()
    assert user.is_active is True
    answer = console.post(f"/accounts/user/{platform_owner.pk}/deactivate/", follow=True)
    assert "Not yourself" in text(answer)
    platform_owner.refresh_from_db()
    assert platform_owner.is_active is True


def test_a_link_is_made_for_anybody_but_platform_owners(console, platform_owner, text):
    user = factories.make_user()
    assert "/set-password/" in text(console.post(f"/accounts/user/{user.pk}/password-link/"))
    answer = console.post(f"/accounts/user/{platform_owner.pk}/password-link/", follow=True)
    assert "/set-password/" not in text(answer)
    assert "manage.py platform_owner" in text(answer)
