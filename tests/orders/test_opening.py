"""Opening an order."""

import datetime
import uuid

import pytest
from django.utils import timezone

from accounts.models import Role, StaffSession
from fynlo.tenancy.scope import restaurant_scope
from orders.models import KitchenTicket
from orders.payloads import ticket_payload
from restaurants.models import MenuItem, MenuItemModifierGroup, Modifier, ModifierGroup, Table, TaxRate
from tests import factories
from tests.orders.scene import look_at, new_id, refused


def test_an_order_with_items_sent_at_once(scene, till, waiter):
    burger = scene.burger(2, "Bacon", "Cheese", note="no onion, très cuit 🔥", seat=2, course=2)
    lager = scene.line("Lager", 3)
    cake = scene.line("Cake")
    body = scene.order(burger, lager, cake, note="birthday", send=True)
    before = timezone.now()

    response = till.post("orders", body)

    answer = response.json()
    assert response.status_code == 201, answer
    assert response["ETag"] == '"1"'
    assert before <= datetime.datetime.fromisoformat(answer["opened_at"]) <= timezone.now()
    by_station = {item["name"]: item["ticket_id"] for item in answer["items"]}
    assert by_station["Burger"] == by_station["Cake"] != by_station["Lager"]
    today = scene.restaurant.business_date(before)
    line = {
        "status": "sent",
        "added_by": waiter.name,
        "added_at": answer["opened_at"],
        "done_at": None,
        "voided_by": None,
        "voided_at": None,
        "void_reason": "",
        "tax_percent": "20",
        "note": "",
        "seat": None,
        "course": 1,
        "modifiers": [],
    }
    modifier = scene.modifiers
    assert answer == {
        "id": body["id"],
        "number": 1,
        "kind": "dine_in",
        "status": "open",
        "version": 1,
        "table_id": scene.tables["T1"],
        "table": "T1",
        "covers": 2,
        "customer_name": "",
        "note": "birthday",
        "currency": "GBP",
        "business_date": today.isoformat(),
        "total_minor": 2 * 1500 + 3 * 610 + 595,
        "tax_minor": 904,  # a sixth of 54.25
        "tax_lines": [{"percent": "20", "gross_minor": 5425, "net_minor": 4521, "tax_minor": 904}],
        "service_charge_kind": "none",
        "service_charge_percent": "0",
        "service_charge_minor": 0,
        "reserved_minor": 0,
        "captured_minor": 0,
        "refunded_minor": 0,
        "paid_minor": 0,
        "balance_due_minor": 5425,
        "opened_by_id": str(waiter.membership_id),
        "opened_by": waiter.name,
        "opened_at": answer["opened_at"],
        "closed_at": None,
        "voided_by": None,
        "voided_at": None,
        "void_reason": "",
        "split": None,
        "items": [
            {
                **line,
                "id": burger["id"],
                "menu_item_id": scene.items["Burger"],
                "name": "Burger",
                "quantity": 2,
                "unit_price_minor": 1500,
                "total_minor": 3000,
                "modifiers": [
                    {"id": modifier["Rare"], "name": "Rare", "price_minor": 0},
                    {"id": modifier["Bacon"], "name": "Bacon", "price_minor": 150},
                    {"id": modifier["Cheese"], "name": "Cheese", "price_minor": 100},
                ],
                "note": "no onion, très cuit 🔥",
                "seat": 2,
                "course": 2,
                "station_id": scene.stations["Grill"],
                "ticket_id": by_station["Burger"],
            },
            {
                **line,
                "id": lager["id"],
                "menu_item_id": scene.items["Lager"],
                "name": "Lager",
                "quantity": 3,
                "unit_price_minor": 610,
                "total_minor": 1830,
                "station_id": scene.stations["Bar"],
                "ticket_id": by_station["Lager"],
            },
            {
                **line,
                "id": cake["id"],
                "menu_item_id": scene.items["Cake"],
                "name": "Cake",
                "quantity": 1,
                "unit_price_minor": 595,
                "total_minor": 595,
                "station_id": scene.stations["Grill"],
                "ticket_id": by_station["Cake"],
            },
        ],
    }
    assert scene.stored(body["id"]) == answer

    opened, grill, bar = scene.events()
    assert [event.seq for event in (opened, grill, bar)] == [1, 2, 3]
    assert [event.kind for event in (opened, grill, bar)] == ["order.opened"] + ["ticket.created"] * 2
    assert [str(event.subject_id) for event in (opened, grill, bar)] == [
        body["id"],
        by_station["Burger"],
        by_station["Lager"],
    ]
    assert {tuple(sorted(event.actor.items())) for event in (opened, grill, bar)} == {
        (("device", None), ("membership", str(waiter.membership_id)), ("name", waiter.name))
    }
    assert opened.payload == answer
    assert grill.payload == {
        "id": by_station["Burger"],
        "order_id": body["id"],
        "order_number": 1,
        "order_kind": "dine_in",
        "table": "T1",
        "covers": 2,
        "waiter": waiter.name,
        "customer_name": "",
        "order_note": "birthday",
        "station_id": scene.stations["Grill"],
        "station": "Grill",
        "number": 1,
        "status": "open",
        "version": 1,
        "is_add_on": False,
        "is_recalled": False,
        "sent_at": answer["opened_at"],
        "bumped_at": None,
        "items": [
            {
                "id": burger["id"],
                "name": "Burger",
                "quantity": 2,
                "modifiers": ["Rare", "Bacon", "Cheese"],
                "note": "no onion, très cuit 🔥",
                "seat": 2,
                "course": 2,
                "status": "sent",
                "done_at": None,
            },
            {
                "id": cake["id"],
                "name": "Cake",
                "quantity": 1,
                "modifiers": [],
                "note": "",
                "seat": None,
                "course": 1,
                "status": "sent",
                "done_at": None,
            },
        ],
    }
    with restaurant_scope(scene.restaurant.pk):
        tickets = KitchenTicket.objects.with_details().order_by("number")
        assert [ticket_payload(ticket) for ticket in tickets] == [grill.payload, bar.payload]


def test_an_empty_takeaway(scene, till):
    body = scene.takeaway(customer_name="  Ana-María O'Neill ")
    response = till.post("orders", body)
    answer = response.json()
    assert response.status_code == 201
    assert answer["customer_name"] == "  Ana-María O'Neill "
    assert (answer["kind"], answer["table_id"], answer["table"], answer["covers"]) == (
        "takeaway",
        None,
        None,
        1,
    )
    assert (answer["total_minor"], answer["tax_minor"], answer["tax_lines"], answer["items"]) == (
        0,
        0,
        [],
        [],
    )
    assert scene.stored(body["id"]) == answer
    assert [(e.kind, e.payload) for e in scene.events()] == [("order.opened", answer)]


def test_cold_food_has_another_rate_when_it_is_taken_away(scene, till):
    answer = till.post("orders", scene.takeaway(scene.line("Cake", 2), scene.line("Fries"))).json()
    assert answer["tax_lines"] == [
        {"percent": "20", "gross_minor": 425, "net_minor": 354, "tax_minor": 71},
        {"percent": "0", "gross_minor": 1190, "net_minor": 1190, "tax_minor": 0},
    ]
    assert (answer["total_minor"], answer["tax_minor"]) == (1615, 71)
    assert [item["status"] for item in answer["items"]] == ["pending", "pending"]
    assert [item["ticket_id"] for item in answer["items"]] == [None, None]


def test_two_parties_may_sit_at_one_table(scene, till):
    first, second = till.post("orders", scene.order()).json(), till.post("orders", scene.order()).json()
    assert (first["number"], second["number"]) == (1, 2)
    assert first["table"] == second["table"] == "T1"


def test_the_business_day_is_the_restaurants(scene, owner, api):
    boss = api(owner)
    late = scene.takeaway(opened_at="2026-07-11T02:59:59Z")  # 03:59:59 in London: still the day before
    early = scene.takeaway(opened_at="2026-07-11T03:00:00Z")
    assert boss.post("orders", late).json()["business_date"] == "2026-07-10"
    assert boss.post("orders", early).json()["business_date"] == "2026-07-11"


def test_a_rate_of_another_day_does_not_apply(scene, owner, api):
    with restaurant_scope(scene.restaurant.pk):
        standard = MenuItem.objects.get(name="Fries").tax_class
        TaxRate.objects.create(tax_class=standard, percent="12.5", valid_from=datetime.date(2021, 10, 1))
        TaxRate.objects.create(tax_class=standard, percent="20", valid_from=datetime.date(2022, 4, 1))
    boss = api(owner)

    def percent(opened_at: str) -> str:
        body = scene.takeaway(scene.line("Fries"), opened_at=opened_at)
        return boss.post("orders", body).json()["items"][0]["tax_percent"]

    assert percent("2021-09-30T12:00:00Z") == "20"
    assert percent("2021-10-01T02:00:00Z") == "20"  # 03:00 in London, before the cut-off
    assert percent("2021-10-01T12:00:00Z") == "12.5"
    assert percent("2022-03-31T23:00:00Z") == "12.5"
    assert percent("2022-04-01T12:00:00Z") == "20"


# Repeats


def test_the_same_request_with_the_same_key_is_answered_again(scene, till):
    body = scene.order(scene.burger(), send=True)
    first = till.post("orders", body, Idempotency_Key="one")
    with scene.nothing_changes():
        second = till.post("orders", body, Idempotency_Key="one")
    assert (second.status_code, second.content, second["ETag"]) == (201, first.content, '"1"')
    assert second["Idempotency-Replayed"] == "true"


def test_the_same_order_with_another_key_is_answered_as_it_is_now(scene, till, office):
    body = scene.order(scene.burger(), send=True)
    opened = till.post("orders", body).json()
    added = till.post(f"orders/{body['id']}/items", {"items": [scene.line("Lager")]}).json()
    scene.sell_out(MenuItem, "Burger")
    last_event = scene.events()[-1].seq

    again = office.post("orders", body)

    assert (again.status_code, again.json(), again["ETag"]) == (200, added, '"2"')
    assert added["number"] == opened["number"] == 1
    assert scene.kinds(last_event) == []
    assert till.post("orders", scene.takeaway()).json()["number"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"covers": 3},
        {"note": "x"},
        {"customer_name": "x"},
        {"send": False},
        {"items": []},
        {"kind": "takeaway", "table_id": None},
    ],
)
def test_another_order_with_the_same_id_is_refused(scene, till, change):
    body = scene.order(scene.burger(), send=True)
    till.post("orders", body)
    with scene.nothing_changes():
        refused(till.post("orders", {**body, **change}), 409, "order_exists", "id")


def test_another_restaurants_order_id_is_refused_and_shows_nothing(scene, till, stranger, api):
    body = scene.takeaway()
    other = look_at(factories.make_restaurant("Elsewhere"))
    theirs = api(factories.staff(other.restaurant, Role.OWNER))
    assert theirs.post("orders", {**body, "customer_name": "secret"}).status_code == 201
    with scene.nothing_changes():
        problem = refused(till.post("orders", body), 409, "order_exists", "id")
    assert "secret" not in str(problem)
    assert till.post("orders", scene.takeaway()).json()["number"] == 1


# Ids and times


def uuid7_at(moment: datetime.datetime) -> str:
    milliseconds = int(moment.timestamp() * 1000)
    return str(uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | uuid.uuid4().int & (1 << 62) - 1))


@pytest.mark.parametrize("hours", [-49, 49, -24 * 365])
def test_an_id_of_another_day_is_refused(scene, till, hours):
    with scene.nothing_changes():
        made_at = timezone.now() + datetime.timedelta(hours=hours)
        refused(till.post("orders", scene.takeaway(id=uuid7_at(made_at))), 422, "id_not_recent", "id")


@pytest.mark.parametrize("hours", [-47, 47])
def test_a_tills_clock_may_be_a_little_wrong(scene, till, hours):
    made_at = timezone.now() + datetime.timedelta(hours=hours)
    assert till.post("orders", scene.takeaway(id=uuid7_at(made_at))).status_code == 201


def test_the_largest_time_of_an_id_is_refused(scene, till):
    with scene.nothing_changes():
        body = scene.takeaway(id="ffffffff-ffff-7fff-bfff-ffffffffffff")
        refused(till.post("orders", body), 422, "id_not_recent", "id")


def test_an_owner_imports_an_order_of_the_past(scene, owner, api):
    at = datetime.datetime(2015, 1, 1, 11, 38, 36, tzinfo=datetime.UTC)
    body = scene.takeaway(scene.line("Fries", 2), id=uuid7_at(at), send=True, opened_at=at.isoformat())
    boss = api(owner)
    response = boss.post("orders", body)
    answer = response.json()
    assert response.status_code == 201, answer
    assert (answer["opened_at"], answer["business_date"]) == ("2015-01-01T11:38:36Z", "2015-01-01")
    assert [(i["status"], i["ticket_id"], i["added_at"]) for i in answer["items"]] == [
        ("sent", None, "2015-01-01T11:38:36Z")
    ]
    assert scene.stored(body["id"]) == answer
    assert scene.kinds() == ["order.opened"]  # nothing for the kitchen to cook
    assert boss.post("orders", body).json() == answer


@pytest.mark.parametrize("role", [Role.WAITER, Role.MANAGER])
def test_nobody_else_sets_an_orders_time(scene, api, role):
    client = api(factories.staff(scene.restaurant, role))
    with scene.nothing_changes():
        body = scene.takeaway(opened_at="2026-01-01T12:00:00Z")
        refused(client.post("orders", body), 403, "not_allowed", "opened_at")


def test_an_owner_at_a_till_does_not_set_an_orders_time(scene, owner, api):
    till = factories.device(scene.restaurant)
    with restaurant_scope(scene.restaurant.pk):
        StaffSession.objects.filter(pk=owner.session_id).update(device=till.device_id)
    with scene.nothing_changes():
        body = scene.takeaway(opened_at="2026-01-01T12:00:00Z")
        refused(api(owner).post("orders", body), 403, "not_allowed", "opened_at")


@pytest.mark.parametrize(
    "moment", ["1999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_an_imported_time_must_make_sense(scene, owner, api, moment):
    with scene.nothing_changes():
        response = api(owner).post("orders", scene.takeaway(opened_at=moment))
    assert response.status_code in (400, 422), response.content
    assert [error["field"] for error in response.json()["errors"]] == ["opened_at"]


def test_an_order_cannot_be_opened_tomorrow(scene, owner, api):
    tomorrow = (timezone.now() + datetime.timedelta(days=1)).isoformat()
    with scene.nothing_changes():
        refused(api(owner).post("orders", scene.takeaway(opened_at=tomorrow)), 422, "invalid", "opened_at")


# Refusals


def test_eating_in_needs_a_table_in_use(scene, till, other_restaurant):
    theirs = look_at(other_restaurant).tables["T1"]
    with restaurant_scope(scene.restaurant.pk):
        Table.objects.filter(name="T3").update(is_active=False)
    with scene.nothing_changes():
        refused(till.post("orders", scene.order(table_id=None)), 422, "table_missing", "table_id")
        refused(till.post("orders", scene.order(table_id=theirs)), 422, "unknown_table", "table_id")
        refused(till.post("orders", scene.order(table_id=new_id())), 422, "unknown_table", "table_id")
        gone = scene.tables["T3"]
        refused(till.post("orders", scene.order(table_id=gone)), 422, "unknown_table", "table_id")
        seated = scene.takeaway(table_id=scene.tables["T1"])
        refused(till.post("orders", seated), 422, "table_not_taken", "table_id")


def test_an_empty_order_cannot_be_sent(scene, till):
    with scene.nothing_changes():
        refused(till.post("orders", scene.order(send=True)), 409, "nothing_to_send")


def test_what_is_sold_out_is_refused_by_name(scene, till):
    scene.sell_out(MenuItem, "Cake")
    scene.sell_out(Modifier, "Bacon")
    cake, burger = scene.line("Cake"), scene.burger(1, "Bacon")
    with scene.nothing_changes():
        response = till.post("orders", scene.order(scene.line("Fries"), cake, send=True))
        problem = refused(response, 409, "sold_out", "items.1.menu_item_id")
        assert (problem["item_id"], problem["detail"]) == (cake["id"], "Cake is sold out.")
        response = till.post("orders", scene.order(burger))
        problem = refused(response, 409, "sold_out", "items.0.modifiers")
        assert (problem["item_id"], problem["detail"]) == (burger["id"], "Bacon is sold out.")
    scene.sell_out(MenuItem, "Cake", False)
    assert till.post("orders", scene.order(cake)).json()["number"] == 1


def test_what_is_not_on_the_menu_is_refused(scene, till, other_restaurant):
    theirs = look_at(other_restaurant)
    with restaurant_scope(scene.restaurant.pk):
        MenuItem.objects.filter(name="Cake").update(is_active=False)
    with scene.nothing_changes():
        for item_id in (scene.items["Cake"], theirs.items["Fries"], new_id()):
            line = scene.line("Fries", menu_item_id=item_id)
            problem = refused(
                till.post("orders", scene.order(line)), 422, "not_on_menu", "items.0.menu_item_id"
            )
            assert problem["item_id"] == line["id"]


def test_modifiers_must_be_those_that_the_item_offers(scene, till, other_restaurant):
    theirs = look_at(other_restaurant).modifiers["Rare"]
    mine = scene.modifiers
    with restaurant_scope(scene.restaurant.pk):
        sauces = ModifierGroup.objects.create(name="Sauces")
        sauce = str(Modifier.objects.create(group=sauces, name="Ketchup").pk)
        MenuItemModifierGroup.objects.create(item=MenuItem.objects.get(name="Fries"), group=sauces)
    wrong = {
        "too_few_modifiers": [],
        "too_many_modifiers": [mine["Rare"], mine["Well done"]],
        "modifier_twice": [mine["Rare"], mine["Rare"]],
    }
    with scene.nothing_changes():
        for code, modifiers in wrong.items():
            line = scene.line("Burger") | {"modifiers": modifiers}
            refused(till.post("orders", scene.order(line)), 422, code, "items.0.modifiers")
        for other in (theirs, sauce, new_id()):
            line = scene.line("Burger") | {"modifiers": [mine["Rare"], other]}
            refused(till.post("orders", scene.order(line)), 422, "modifier_not_offered", "items.0.modifiers")


def test_an_item_without_a_tax_rate_is_refused(scene, till):
    with restaurant_scope(scene.restaurant.pk):
        TaxRate.objects.filter(dining_mode="dine_in").delete()
    with scene.nothing_changes():
        response = till.post("orders", scene.order(scene.line("Cake")))
        refused(response, 409, "no_tax_rate", "items.0.menu_item_id")
    assert till.post("orders", scene.takeaway(scene.line("Cake"))).status_code == 201


def test_a_lines_id_names_one_line(scene, till):
    line = scene.line("Fries")
    till.post("orders", scene.order(line))
    with scene.nothing_changes():
        refused(till.post("orders", scene.order(scene.burger(), line)), 409, "item_exists", "items.1.id")
        twice = scene.line("Cake")
        refused(till.post("orders", scene.order(twice, twice)), 422, "item_twice", "items.1.id")


def test_another_restaurants_line_id_is_refused(scene, till, stranger, api):
    theirs = look_at(factories.make_restaurant("Elsewhere"))
    line = theirs.line("Fries")
    api(factories.staff(theirs.restaurant, Role.OWNER)).post("orders", theirs.takeaway(line))
    with scene.nothing_changes():
        mine = scene.line("Fries", id=line["id"])
        refused(till.post("orders", scene.takeaway(mine)), 409, "conflict")


def test_a_line_is_never_below_nothing(scene, till):
    with restaurant_scope(scene.restaurant.pk):
        Modifier.objects.filter(name="Cheese").update(price_minor=-5000)
    answer = till.post("orders", scene.order(scene.burger(3, "Cheese"), scene.line("Fries"))).json()
    assert [(item["unit_price_minor"], item["total_minor"]) for item in answer["items"]] == [
        (0, 0),
        (425, 425),
    ]
    assert answer["total_minor"] == 425


def test_the_largest_order_there_can_be(scene, till):
    with restaurant_scope(scene.restaurant.pk):
        MenuItem.objects.filter(name="Fries").update(price_minor=100_000_000)
    body = scene.order(*[scene.line("Fries", 999) for _ in range(500)], send=True)
    answer = till.post("orders", body).json()
    assert answer["total_minor"] == 500 * 999 * 100_000_000
    assert answer["tax_minor"] * 6 == answer["total_minor"]
    with scene.nothing_changes():
        response = till.post("orders", scene.order(*[scene.line("Fries") for _ in range(501)]))
        refused(response, 400, "invalid", "items")
        response = till.post(f"orders/{body['id']}/items", {"items": [scene.line("Cake")]})
        refused(response, 422, "too_many_items", "items")
