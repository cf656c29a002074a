"""What is typed comes back byte for byte, or is refused by the name of its field."""

import json
import unicodedata

import pytest
from django import forms
from django.test import Client

from fynlo.tenancy.scope import restaurant_scope
from fynlo.validation import check_form, text_fault
from restaurants.menu_csv import MAX_BYTES, UnusableFile, read_menu_file
from restaurants.models import KitchenStation
from tests.backoffice.conftest import user_of
from tests.orders.scene import look_at

NAMES = [
    "O'Brien & Sons (Fish; Chips)",
    '<script>alert("x")</script>',
    "'; DROP TABLE orders_order; --",
    "100 % \\ `$(id)` {{ 7*7 }} ${x}",
    "Crème brûlée  –  “Chef’s”",  # noqa: RUF001
    "مطعم البيت",
    "דג וצ'יפס",
    "鮨 さいとう",
    "👩‍👩‍👧‍👦 family 🇬🇧",
    "a\u200fb\u200ec",
    " spaces around ",
]
CONTROLS = ["\0", "\x07", "\x1b[31m", "\x7f", "\x85", "\x9f"]


@pytest.mark.parametrize("name", NAMES)
def test_names_come_back_as_they_were_typed(restaurant, waiter, api, name):
    scene, till = look_at(restaurant), api(waiter)
    order = scene.takeaway(scene.burger(note=name), customer_name=name, note=name)
    assert till.post("orders", order).status_code == 201
    stored = till.get(f"orders/{order['id']}").json()
    assert [stored["customer_name"], stored["note"], stored["items"][0]["note"]] == [name] * 3


def test_a_team_and_its_devices_too(manager, api):
    client = api(manager)
    for name in NAMES:
        made = client.post("staff", {"name": name, "role": "waiter"})
        assert (made.status_code, made.json()["name"]) == (201, name)
        device = client.post("devices", {"name": name, "kind": "till"})
        assert (device.status_code, device.json()["device"]["name"]) == (201, name)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("as_escape", [True, False])
def test_control_characters_are_refused_by_name(restaurant, waiter, api, control, as_escape):
    scene, till = look_at(restaurant), api(waiter)
    order = scene.takeaway(scene.burger(note=f"a{control}b"), customer_name=f"a{control}b")
    before = scene.snapshot()
    refused = till.post("orders", json.dumps(order, ensure_ascii=as_escape))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    errors = sorted(refused.json()["errors"], key=lambda error: error["field"])
    assert errors == [
        {"field": field, "code": "control_character", "detail": "This holds a control character."}
        for field in ("customer_name", "items.0.note")
    ]
    assert scene.snapshot() == before


def test_a_name_is_one_line_and_a_note_may_be_several(restaurant, waiter, api):
    scene, till = look_at(restaurant), api(waiter)
    refused = till.post("orders", scene.takeaway(scene.burger(), customer_name="Ada\nLovelace"))
    assert [e["field"] for e in refused.json()["errors"]] == ["customer_name"]
    assert refused.json()["errors"][0]["code"] == "one_line"
    order = scene.takeaway(scene.burger(), note="no salt\nno \tpepper")
    assert till.post("orders", order).json()["note"] == "no salt\nno \tpepper"


def test_a_letter_is_one_letter_however_it_was_typed(manager, api):
    client = api(manager)
    composed, apart = (unicodedata.normalize(form, "Zoë Brûlée") for form in ("NFC", "NFD"))
    assert composed != apart
    assert client.post("staff", {"name": apart, "role": "waiter"}).json()["name"] == composed
    again = client.post("staff", {"name": composed, "role": "waiter"})
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")


@pytest.mark.parametrize("path", ["/api/v1/sign-in?x=a%00b", "/?x=a%1Bb"])
def test_addresses_hold_none_either(path):
    answer = Client().get(path)
    assert answer.status_code == 400
    assert "x: This holds a control character." in answer.content.decode()


def test_nor_do_forms():
    answer = Client().post("/admin/login/", {"username": "a\0b", "password": "x"})
    assert answer.status_code == 400
    assert "username: This holds a control character." in answer.content.decode()


def test_a_form_that_is_too_large_is_not_read(settings):
    settings.UPLOAD_MAX_BYTES = 1000
    answer = Client().post("/admin/login/", {"username": "a" * 2000, "password": "x"})
    assert answer.status_code == 413


def test_a_body_that_is_too_large_is_a_problem(waiter, api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = api(waiter).post("orders", {"note": "x" * 2000})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_form_s_texts_are_composed_and_lines_are_for_large_fields():
    class Form(forms.Form):
        name = forms.CharField()
        note = forms.CharField(widget=forms.Textarea)
        password = forms.CharField(widget=forms.PasswordInput)

    apart = unicodedata.normalize("NFD", "é")
    form = Form({"name": apart, "note": "a\r\nb", "password": apart})
    assert form.is_valid()
    check_form(form)
    assert form.cleaned_data == {"name": "é", "note": "a\r\nb", "password": apart}
    form = Form({"name": "a\nb", "note": "x", "password": "x"})
    assert form.is_valid()
    check_form(form)
    assert form.errors == {"name": ["This must be one line."]}


def test_what_a_fault_is():
    assert [bool(text_fault(text, lines=True)) for text in ("a\n\tb\r", "\x0b", "\ud800")] == [
        False,
        True,
        True,
    ]


def test_a_menu_file_has_limits_and_no_control_characters(restaurant):
    with pytest.raises(UnusableFile, match="larger than 2048 KiB"):
        read_menu_file(b"x" * (MAX_BYTES + 1), "GBP")
    (bad,) = read_menu_file(b"category,name,price\nMains,St\x07eak,1\n", "GBP").bad_lines
    assert bad.reasons == ("name: This holds a control character.",)


def test_the_office_takes_names_as_they_are(restaurant, owner):
    browser = Client()
    browser.force_login(user_of(owner))
    for name in NAMES:
        answer = browser.post("/admin/restaurants/kitchenstation/add/", {"name": name, "position": "1"})
        assert answer.status_code == 302
    with restaurant_scope(restaurant.pk):
        kept = set(KitchenStation.objects.values_list("name", flat=True))
    assert {name.strip() for name in NAMES} <= kept  # Django's forms trim what nobody sees
    refused = browser.post("/admin/restaurants/kitchenstation/add/", {"name": "a\nb", "position": "1"})
    assert "This must be one line." in refused.content.decode()
