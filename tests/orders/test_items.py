"""Adding, changing, removing, sending and voiding lines."""

import pytest

from fynlo.tenancy.scope import restaurant_scope
from orders.models import KitchenTicket, Order
from orders.payloads import ticket_payload
from restaurants.models import MenuItem, Modifier
from tests.orders.scene import look_at, new_id, refused


@pytest.fixture
def bill(scene, till) -> dict:
    """T1's order: a rare burger with bacon, 14.00, sent, and a lager, 6.10, not sent."""
    order = till.post("orders", scene.order(scene.burger(1, "Bacon"), send=True)).json()
    return till.post(f"orders/{order['id']}/items", {"items": [scene.line("Lager")]}).json()


def seen(order: dict) -> dict[str, str]:
    return {"If_Match": f'"{order["version"]}"'}


# Adding


def test_added_items_join_what_is_there(scene, till, office, manager, bill):
    last_event = scene.events()[-1].seq
    cake, fries = scene.line("Cake", 2, seat=1), scene.line("Fries", note="crisp")
    response = office.post(f"orders/{bill['id']}/items", {"items": [cake, fries]})
    answer = response.json()
    assert (response.status_code, response["ETag"]) == (201, '"3"')
    assert answer["items"][:2] == bill["items"]
    assert [(i["id"], i["status"], i["added_by"]) for i in answer["items"][2:]] == [
        (cake["id"], "pending", manager.name),
        (fries["id"], "pending", manager.name),
    ]
    assert answer["total_minor"] == 1400 + 610 + 2 * 595 + 425
    assert answer["tax_lines"] == [
        {"percent": "20", "gross_minor": 3625, "net_minor": 3021, "tax_minor": 604},
    ]
    assert scene.stored(bill["id"]) == answer
    (event,) = scene.events(last_event)
    assert (event.kind, str(event.subject_id), event.payload) == ("order.items_added", bill["id"], answer)
    assert event.actor["name"] == manager.name


def test_an_item_that_is_there_already_is_left_alone(scene, till, office, bill):
    cake = scene.line("Cake")
    till.post(f"orders/{bill['id']}/items", {"items": [cake]})
    scene.sell_out(MenuItem, "Cake")
    last_event = scene.events()[-1].seq
    before = scene.stored(bill["id"])
    response = office.post(f"orders/{bill['id']}/items", {"items": [cake]})
    assert (response.status_code, response.json(), response["ETag"]) == (200, before, '"3"')
    assert (scene.stored(bill["id"]), scene.kinds(last_event)) == (before, [])

    fries = scene.line("Fries")
    response = office.post(f"orders/{bill['id']}/items", {"items": [cake, fries]})
    assert response.status_code == 201
    assert [i["name"] for i in response.json()["items"]] == ["Burger", "Lager", "Cake", "Fries"]
    assert [i["id"] for i in response.json()["items"]][2:] == [cake["id"], fries["id"]]


def test_modifiers_are_the_same_in_any_order(scene, till, bill):
    burger = scene.burger(1, "Bacon", "Cheese")
    till.post(f"orders/{bill['id']}/items", {"items": [burger]})
    turned = {**burger, "modifiers": burger["modifiers"][::-1]}
    assert till.post(f"orders/{bill['id']}/items", {"items": [turned]}).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"quantity": 2}, {"note": "x"}, {"seat": 1}, {"course": 2}, {"modifiers": []}, {"item": "Fries"}],
)
def test_other_content_under_the_same_id_is_refused(scene, till, bill, change):
    burger = scene.burger(1, "Bacon")
    till.post(f"orders/{bill['id']}/items", {"items": [burger]})
    if "item" in change:
        change = {"menu_item_id": scene.items[change["item"]]}
    with scene.nothing_changes():
        body = {"items": [scene.line("Fries"), {**burger, **change}]}
        problem = refused(till.post(f"orders/{bill['id']}/items", body), 409, "item_exists", "items.1.id")
        assert problem["item_id"] == burger["id"]


def test_an_item_of_another_order_is_refused(scene, till, bill):
    other = till.post("orders", scene.takeaway(line := scene.line("Cake"))).json()
    with scene.nothing_changes():
        response = till.post(f"orders/{bill['id']}/items", {"items": [line]})
        refused(response, 409, "item_exists", "items.0.id")
    assert scene.stored(other["id"]) == other


def test_refused_items_leave_the_order_alone(scene, till, bill, other_restaurant):
    theirs = look_at(other_restaurant)
    scene.sell_out(MenuItem, "Cake")
    scene.sell_out(Modifier, "Rare")
    path, fries = f"orders/{bill['id']}/items", scene.line("Fries")
    with scene.nothing_changes():
        response = till.post(path, {"items": [fries, scene.line("Cake")]})
        refused(response, 409, "sold_out", "items.1.menu_item_id")
        response = till.post(path, {"items": [fries, scene.burger()]})
        refused(response, 409, "sold_out", "items.1.modifiers")
        response = till.post(
            path, {"items": [fries, {**scene.line("Fries"), "menu_item_id": theirs.items["Cake"]}]}
        )
        refused(response, 422, "not_on_menu", "items.1.menu_item_id")
        response = till.post(path, {"items": [fries, scene.line("Burger")]})
        refused(response, 422, "too_few_modifiers", "items.1.modifiers")
        refused(till.post(path, {"items": [fries, fries]}), 422, "item_twice", "items.1.id")
        refused(till.post(path, {"items": []}), 400, "invalid", "items")


# Changing


def test_a_line_that_was_not_sent_can_be_changed(scene, till, waiter, bill):
    last_event = scene.events()[-1].seq
    lager = bill["items"][1]
    change = {"quantity": 3, "note": "cold", "seat": 2, "course": 3}
    response = till.patch(f"orders/{bill['id']}/items/{lager['id']}", change, **seen(bill))
    answer = response.json()
    assert (response.status_code, response["ETag"]) == (200, '"3"'), answer
    assert answer["items"] == [bill["items"][0], {**lager, **change, "total_minor": 1830}]
    assert (answer["total_minor"], answer["tax_minor"]) == (3230, 538)
    assert scene.stored(bill["id"]) == answer
    (event,) = scene.events(last_event)
    assert (event.kind, event.payload, event.actor["name"]) == ("order.item_changed", answer, waiter.name)


def test_other_modifiers_price_a_line_anew(scene, till):
    order = till.post("orders", scene.order(scene.burger(2))).json()
    with restaurant_scope(scene.restaurant.pk):
        MenuItem.objects.filter(name="Burger").update(price_minor=1300)
    (burger,) = order["items"]
    path = f"orders/{order['id']}/items/{burger['id']}"

    answer = till.patch(path, {"quantity": 3}, **seen(order)).json()
    assert answer["items"][0]["total_minor"] == 3 * 1250  # as it was ordered

    chosen = [scene.modifiers["Well done"], scene.modifiers["Cheese"]]
    answer = till.patch(path, {"modifiers": chosen}, **seen(answer)).json()
    assert [modifier["name"] for modifier in answer["items"][0]["modifiers"]] == ["Well done", "Cheese"]
    assert (answer["items"][0]["unit_price_minor"], answer["total_minor"]) == (1400, 4200)

    with scene.nothing_changes():
        refused(till.patch(path, {"modifiers": []}, **seen(answer)), 422, "too_few_modifiers", "modifiers")
    scene.sell_out(MenuItem, "Burger")
    with scene.nothing_changes():
        rare = {"modifiers": [scene.modifiers["Rare"]]}
        refused(till.patch(path, rare, **seen(answer)), 409, "sold_out", "modifiers")
    answer = till.patch(path, {"note": "soon", "modifiers": chosen[::-1]}, **seen(answer)).json()
    assert (answer["items"][0]["note"], answer["total_minor"]) == ("soon", 4200)


def test_a_change_that_changes_nothing_leaves_the_version(scene, till, bill):
    path = f"orders/{bill['id']}/items/{bill['items'][1]['id']}"
    with scene.nothing_changes():
        for nothing in ({}, {"quantity": 1, "note": ""}, {"modifiers": []}):
            response = till.patch(path, nothing, **seen(bill))
            assert (response.status_code, response.json()) == (200, bill)


def test_a_line_that_was_not_sent_can_be_removed(scene, till, bill):
    last_event = scene.events()[-1].seq
    lager = bill["items"][1]
    response = till.delete(f"orders/{bill['id']}/items/{lager['id']}", **seen(bill))
    answer = response.json()
    assert (response.status_code, response["ETag"]) == (200, '"3"')
    assert (answer["items"], answer["total_minor"]) == ([bill["items"][0]], 1400)
    assert scene.stored(bill["id"]) == answer
    (event,) = scene.events(last_event)
    assert (event.kind, event.payload) == ("order.item_removed", answer)
    with scene.nothing_changes():
        refused(till.delete(f"orders/{bill['id']}/items/{lager['id']}", **seen(answer)), 404, "no_such_item")


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_who_has_not_seen_the_latest_changes_nothing(scene, till, office, bill, method):
    path = f"orders/{bill['id']}/items/{bill['items'][1]['id']}"
    now = office.post(f"orders/{bill['id']}/items", {"items": [scene.line("Cake")]}).json()
    with scene.nothing_changes():
        refused(till.request(method, path, {"quantity": 5}), 428, "version_required")
        refused(till.request(method, path, {"quantity": 5}, If_Match="*"), 428, "version_required")
        problem = refused(till.request(method, path, {"quantity": 5}, **seen(bill)), 412, "version_changed")
        assert problem["current"] == now
        ahead = {"If_Match": '"99"'}
        refused(till.request(method, path, {"quantity": 5}, **ahead), 412, "version_changed")


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_what_the_kitchen_has_cannot_be_changed_or_removed(scene, till, office, bill, method):
    path = f"orders/{bill['id']}/items/{bill['items'][0]['id']}"
    with scene.nothing_changes():
        refused(till.request(method, path, {"quantity": 5}, **seen(bill)), 409, "item_sent")
    voided = office.post(f"{path}/void", {"reason": "dropped"}).json()
    with scene.nothing_changes():
        refused(till.request(method, path, {"quantity": 5}, **seen(voided)), 409, "item_voided")


# Sending


def test_sending_makes_one_ticket_for_each_station(scene, till, bill):
    fries, cake = scene.line("Fries", course=2), scene.line("Cake")
    till.post(f"orders/{bill['id']}/items", {"items": [fries, cake]})
    last_event = scene.events()[-1].seq
    response = till.post(f"orders/{bill['id']}/send")
    answer = response.json()
    assert (response.status_code, response["ETag"], answer["version"]) == (200, '"4"', 4)
    assert [item["status"] for item in answer["items"]] == ["sent"] * 4
    burger, lager, *rest = answer["items"]
    assert burger == bill["items"][0]
    assert rest[0]["ticket_id"] == rest[1]["ticket_id"]
    assert len({burger["ticket_id"], lager["ticket_id"], rest[0]["ticket_id"]}) == 3
    assert scene.stored(bill["id"]) == answer

    sent, grill, bar = scene.events(last_event)
    assert (sent.kind, sent.payload) == ("order.sent", answer)
    assert [(t.kind, str(t.subject_id)) for t in (grill, bar)] == [
        ("ticket.created", rest[0]["ticket_id"]),
        ("ticket.created", lager["ticket_id"]),
    ]
    assert [(t.payload["station"], t.payload["number"], t.payload["version"]) for t in (grill, bar)] == [
        ("Grill", 2, 1),
        ("Bar", 3, 1),
    ]
    assert (grill.payload["is_add_on"], bar.payload["is_add_on"]) == (True, True)
    assert [item["name"] for item in grill.payload["items"]] == ["Fries", "Cake"]
    assert [item["name"] for item in bar.payload["items"]] == ["Lager"]
    with restaurant_scope(scene.restaurant.pk):
        tickets = KitchenTicket.objects.with_details().order_by("number")[1:]
        assert [ticket_payload(ticket) for ticket in tickets] == [grill.payload, bar.payload]


def test_nothing_is_sent_twice(scene, till, bill):
    sent = till.post(f"orders/{bill['id']}/send", Idempotency_Key="tap").json()
    with scene.nothing_changes():
        assert till.post(f"orders/{bill['id']}/send", Idempotency_Key="tap").json() == sent
        refused(till.post(f"orders/{bill['id']}/send"), 409, "nothing_to_send")


def test_what_sold_out_meanwhile_is_not_sent(scene, till, bill):
    scene.sell_out(MenuItem, "Lager")
    with scene.nothing_changes():
        problem = refused(till.post(f"orders/{bill['id']}/send"), 409, "sold_out")
        assert problem["item_id"] == bill["items"][1]["id"]
    scene.sell_out(MenuItem, "Burger")  # which the kitchen has already
    scene.sell_out(MenuItem, "Lager", False)
    assert till.post(f"orders/{bill['id']}/send").status_code == 200


# Voiding


def test_a_manager_voids_what_the_kitchen_has(scene, till, office, manager):
    order = till.post("orders", scene.order(scene.burger(), scene.line("Fries", 2), send=True)).json()
    last_event = scene.events()[-1].seq
    burger, fries = order["items"]
    response = office.post(f"orders/{order['id']}/items/{burger['id']}/void", {"reason": "dropped"})
    answer = response.json()
    assert (response.status_code, response["ETag"]) == (200, '"2"')
    assert answer["items"] == [
        {
            **burger,
            "status": "voided",
            "voided_by": manager.name,
            "voided_at": answer["items"][0]["voided_at"],
            "void_reason": "dropped",
        },
        fries,
    ]
    assert answer["items"][0]["voided_at"] > burger["added_at"]
    assert (answer["total_minor"], answer["tax_minor"]) == (850, 142)
    assert scene.stored(order["id"]) == answer
    voided, ticket = scene.events(last_event)
    assert (voided.kind, voided.payload, voided.actor["name"]) == ("order.item_voided", answer, manager.name)
    assert (ticket.kind, ticket.payload["version"], ticket.payload["status"]) == ("ticket.changed", 2, "open")
    assert [(item["name"], item["status"]) for item in ticket.payload["items"]] == [
        ("Burger", "voided"),
        ("Fries", "sent"),
    ]

    office.post(f"orders/{order['id']}/items/{fries['id']}/void", {"reason": "dropped too"})
    _, ticket = scene.events(last_event + 2)
    assert (ticket.kind, ticket.payload["version"], ticket.payload["status"]) == (
        "ticket.voided",
        3,
        "voided",
    )
    stored = scene.stored(order["id"])
    assert (stored["total_minor"], stored["tax_minor"], stored["tax_lines"]) == (0, 0, [])
    with scene.nothing_changes():
        path = f"orders/{order['id']}/items/{fries['id']}/void"
        refused(office.post(path, {"reason": "again"}), 409, "item_voided")


def test_a_waiter_does_not_void_what_the_kitchen_has(scene, till, bill):
    with scene.nothing_changes():
        path = f"orders/{bill['id']}/items/{bill['items'][0]['id']}/void"
        refused(till.post(path, {"reason": "guest left"}), 403, "not_allowed")


def test_what_was_not_sent_is_removed_not_voided(scene, office, bill):
    path = f"orders/{bill['id']}/items/{bill['items'][1]['id']}/void"
    with scene.nothing_changes():
        refused(office.post(path, {"reason": "x"}), 409, "item_not_sent")


def test_a_void_needs_a_reason(scene, office, bill):
    path = f"orders/{bill['id']}/items/{bill['items'][0]['id']}/void"
    with scene.nothing_changes():
        for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 201}, {"reason": 5}):
            refused(office.post(path, body), 400, "invalid", "reason")


def test_a_bill_cannot_fall_below_what_was_paid(scene, till, office, bill):
    """14.00 for the burger and 6.10 for the lager; 15.00 is paid and 5.00 is being paid."""
    with restaurant_scope(scene.restaurant.pk):
        Order.objects.filter(pk=bill["id"]).update(captured_minor=1500, reserved_minor=500)
    burger, lager = (f"orders/{bill['id']}/items/{item['id']}" for item in bill["items"])
    with scene.nothing_changes():
        refused(office.post(f"{burger}/void", {"reason": "dropped"}), 409, "less_than_paid")
        refused(till.delete(lager, **seen(bill)), 409, "less_than_paid")
    assert till.patch(lager, {"quantity": 2}, **seen(bill)).status_code == 200


def test_an_order_that_is_not_open_takes_no_change(scene, till, office, bill):
    office.post(f"orders/{bill['id']}/void", {"reason": "guests left"})
    voided = scene.stored(bill["id"])
    burger, lager = (f"orders/{bill['id']}/items/{item['id']}" for item in bill["items"])
    with scene.nothing_changes():
        for response in (
            till.post(f"orders/{bill['id']}/items", {"items": [scene.line("Cake")]}),
            till.patch(lager, {"quantity": 2}, **seen(voided)),
            till.delete(lager, **seen(voided)),
            office.post(f"{burger}/void", {"reason": "x"}),
            till.post(f"orders/{bill['id']}/send"),
            till.patch(f"orders/{bill['id']}", {"covers": 3}, **seen(voided)),
            office.post(f"orders/{bill['id']}/void", {"reason": "x"}),
        ):
            problem = refused(response, 409, "order_not_open")
            assert problem["order_status"] == "voided"
            assert problem["detail"] == "Order 1 is voided."


def test_there_is_no_such_order_or_item(scene, till, office, bill):
    nowhere = new_id()
    with scene.nothing_changes():
        for order, item, code in (
            (nowhere, bill["items"][1]["id"], "no_such_order"),
            (bill["id"], nowhere, "no_such_item"),
        ):
            path = f"orders/{order}/items/{item}"
            refused(till.patch(path, {"quantity": 2}, **seen(bill)), 404, code)
            refused(till.delete(path, **seen(bill)), 404, code)
            refused(office.post(f"{path}/void", {"reason": "x"}), 404, code)
        refused(till.post(f"orders/{nowhere}/items", {"items": [scene.line("Cake")]}), 404, "no_such_order")
        refused(till.post(f"orders/{nowhere}/send"), 404, "no_such_order")
        refused(till.post(f"orders/{nowhere}/void", {"reason": "x"}), 404, "no_such_order")
        refused(till.patch(f"orders/{nowhere}", {"covers": 2}, **seen(bill)), 404, "no_such_order")
        refused(till.get(f"orders/{nowhere}"), 404, "no_such_order")
