"""Who gets in, and to which restaurant."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client

from accounts.models import Membership, Role
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import MenuItem, Restaurant
from tests import factories
from tests.backoffice.conftest import give_password, sign_in, user_of
from tests.databases import database_role

PAGES = [
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for model in sorted(admin.site._registry, key=lambda model: model._meta.label)
]


def test_an_owner_goes_straight_in(owner):
    page = sign_in(Client(), give_password(user_of(owner)))
    assert page.status_code == 200
    assert "The Copper Pot" in page.content.decode()
    assert "Taken today" in page.content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_for_a_manager(manager, office, page):
    answer = office(manager).get(page, follow=True)
    assert answer.status_code == 200


@pytest.mark.parametrize("page", [page for page in PAGES if "restaurants/restaurant/" not in page])
def test_adding_opens_or_is_refused(manager, office, page):
    app, model = page.strip("/").split("/")[1:]
    expected = 200 if admin.site._registry[apps.get_model(app, model)].can_add else 403
    assert office(manager).get(f"{page}add/").status_code == expected


@pytest.mark.parametrize("role", [Role.WAITER, Role.KITCHEN])
def test_others_do_not_get_in(restaurant, role):
    client = Client()
    answer = sign_in(client, give_password(user_of(factories.staff(restaurant, role))))
    assert "You manage no restaurant" in answer.content.decode()
    assert client.get("/admin/restaurants/menuitem/").status_code == 302


def test_a_platform_owner_is_nobody_here():
    with database_role("platform"):
        user = give_password(factories.make_user(is_superuser=True, is_staff=True))
    answer = sign_in(Client(), user)
    assert "You manage no restaurant" in answer.content.decode()


def test_a_wrong_password_is_counted(owner):
    user, client = give_password(user_of(owner)), Client(REMOTE_ADDR="2001:db8:77::1")
    answers = [sign_in(client, user, "wrong")]
    while "Too many wrong tries" not in answers[-1].content.decode():
        answers.append(sign_in(client, user, "wrong"))
        assert len(answers) < 30
    assert "Too many wrong tries" in sign_in(client, user).content.decode()


def test_a_demoted_manager_is_out_at_once(manager, office):
    client = office(manager)
    assert client.get("/admin/").status_code == 200
    with restaurant_scope(manager.restaurant_id):
        Membership.objects.filter(pk=manager.membership_id).update(role=Role.WAITER)
    assert client.get("/admin/restaurants/menuitem/", follow=True).status_code == 403
    with restaurant_scope(manager.restaurant_id):
        Membership.objects.filter(pk=manager.membership_id).update(role=Role.MANAGER, is_active=False)
    assert client.get("/admin/restaurants/menuitem/", follow=True).status_code == 403


def test_a_suspended_restaurant_says_so(owner, office):
    client = office(owner)
    with database_role("platform"):
        Restaurant.objects.filter(pk=owner.restaurant_id).update(status="suspended")
    answer = client.get("/admin/restaurants/menuitem/")
    assert answer.status_code == 403
    assert "is suspended" in answer.content.decode()
    assert "Burger" not in answer.content.decode()


def test_whoever_manages_several_chooses(restaurant, other_restaurant, owner, stranger):
    user = give_password(user_of(owner))
    with restaurant_scope(other_restaurant.pk):
        Membership.objects.create(user=user, name="Visitor", role=Role.MANAGER)
    client = Client()
    page = sign_in(client, user).content.decode()
    assert "The Copper Pot" in page
    assert "Stranger&#x27;s Diner" in page
    client.post("/admin/choose/", {"restaurant_id": other_restaurant.pk})
    assert "Stranger&#x27;s Diner" in client.get("/admin/").content.decode()
    third = factories.make_restaurant("Elsewhere", menu=False)
    answer = client.post("/admin/choose/", {"restaurant_id": third.pk})
    assert answer.status_code == 200
    assert "Elsewhere" not in client.get("/admin/").content.decode()


def test_another_restaurants_rows_are_not_there(owner, stranger, office, other_restaurant):
    with restaurant_scope(other_restaurant.pk):
        MenuItem.objects.filter(name="Burger").update(name="Secret burger")
        item = MenuItem.objects.get(name="Secret burger")
    client = office(owner)
    for page in PAGES:
        assert b"Secret burger" not in client.get(page, follow=True).content
    for path in ("change/", "delete/", "history/"):
        answer = client.get(f"/admin/restaurants/menuitem/{item.pk}/{path}", follow=True)
        assert b"Secret burger" not in answer.content
    client.post(f"/admin/restaurants/menuitem/{item.pk}/change/", {"name": "Taken over"})
    client.post(f"/admin/restaurants/menuitem/{item.pk}/delete/", {"post": "yes"})
    page = client.get(f"/admin/restaurants/restaurant/{other_restaurant.pk}/change/", follow=True)
    assert b"Stranger" not in page.content
    with restaurant_scope(other_restaurant.pk):
        assert MenuItem.objects.get(pk=item.pk).name == "Secret burger"


def test_the_figures_of_today_are_only_for_those_inside(owner, office):
    assert Client().get("/admin/today").status_code == 302
    answer = office(owner).get("/admin/today")
    assert answer.json() == {
        "taken": "£0.00",
        "closed": "0",
        "average": "£0.00",
        "tax": "£0.00",
        "covers": "0",
        "open": "0",
        "running": "£0.00",
    }
