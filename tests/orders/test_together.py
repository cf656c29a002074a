"""Several tills at once, in real threads on real connections."""

from collections import Counter
from collections.abc import Callable

from fynlo.tenancy.scope import restaurant_scope
from orders.models import Order
from restaurants.models import Counter as Series
from restaurants.models import MenuItem
from tests.orders.scene import at_once, new_id


def numbers(scene) -> list[int]:
    with restaurant_scope(scene.restaurant.pk):
        return list(Order.objects.order_by("number").values_list("number", flat=True))


def test_two_waiters_adding_to_one_table_lose_nothing(scene, waiter, manager, api):
    order = api(waiter).post("orders", scene.order()).json()

    def adds(staff, name: str) -> Callable[[], list[int]]:
        client = api(staff)
        return lambda: [
            client.post(f"orders/{order['id']}/items", {"items": [scene.line(name)]}).status_code
            for _ in range(10)
        ]

    answers = at_once(adds(waiter, "Fries"), adds(manager, "Lager"))

    assert answers == [[201] * 10, [201] * 10]
    stored = scene.stored(order["id"])
    assert Counter(item["name"] for item in stored["items"]) == {"Fries": 10, "Lager": 10}
    assert Counter(item["added_by"] for item in stored["items"]) == {waiter.name: 10, manager.name: 10}
    assert (stored["total_minor"], stored["version"]) == (10 * (425 + 610), 21)
    assert stored["tax_minor"] == 1725
    events = scene.events()
    assert [event.seq for event in events] == list(range(1, 22))
    assert [len(event.payload["items"]) for event in events] == list(range(21))
    assert [event.payload["version"] for event in events] == list(range(1, 22))
    assert events[-1].payload == stored


def test_one_order_sent_by_eight_tills_at_once_is_one_order(scene, waiter, api):
    body = scene.order(scene.burger(2), scene.line("Lager"), send=True)
    clients = [api(waiter) for _ in range(8)]
    answers = at_once(*[lambda client=client: client.post("orders", body) for client in clients])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
    assert [answer.json() for answer in answers] == [scene.stored(body["id"])] * 8
    assert numbers(scene) == [1]
    assert scene.kinds() == ["order.opened", "ticket.created", "ticket.created"]
    assert api(waiter).post("orders", scene.takeaway()).json()["number"] == 2


def test_one_request_repeated_eight_times_at_once_is_answered_eight_times_the_same(scene, waiter, api):
    body, key = scene.order(scene.burger(), send=True), new_id()
    clients = [api(waiter) for _ in range(8)]
    answers = at_once(
        *[lambda client=client: client.post("orders", body, Idempotency_Key=key) for client in clients]
    )
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert sorted(answer.get("Idempotency-Replayed", "") for answer in answers) == [""] + ["true"] * 7
    assert scene.kinds() == ["order.opened", "ticket.created"]


def test_one_item_added_by_four_tills_at_once_is_one_item(scene, waiter, api):
    order = api(waiter).post("orders", scene.order()).json()
    body = {"items": [scene.line("Fries")]}
    clients = [api(waiter) for _ in range(4)]
    answers = at_once(
        *[lambda client=client: client.post(f"orders/{order['id']}/items", body) for client in clients]
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 3}
    assert [answer.json() for answer in answers] == [scene.stored(order["id"])] * 4
    assert scene.kinds() == ["order.opened", "order.items_added"]


def test_one_order_is_sent_to_the_kitchen_once(scene, waiter, api):
    order = api(waiter).post("orders", scene.order(scene.burger(), scene.line("Lager"))).json()
    clients = [api(waiter) for _ in range(4)]
    answers = at_once(
        *[lambda client=client: client.post(f"orders/{order['id']}/send") for client in clients]
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 3}
    assert scene.kinds() == ["order.opened", "order.sent", "ticket.created", "ticket.created"]


def test_of_two_who_saw_the_same_version_one_changes_it(scene, waiter, manager, api):
    order = api(waiter).post("orders", scene.order(scene.line("Fries"))).json()
    path = f"orders/{order['id']}/items/{order['items'][0]['id']}"
    answers = at_once(
        lambda: api(waiter).patch(path, {"quantity": 2}, If_Match='"1"'),
        lambda: api(manager).delete(path, If_Match='"1"'),
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200, 412]
    stored = scene.stored(order["id"])
    assert stored["version"] == 2
    assert [item["quantity"] for item in stored["items"]] == ([2] if answers[0].status_code == 200 else [])


def test_numbers_have_no_gaps_whatever_is_refused(scene, waiter, api):
    scene.sell_out(MenuItem, "Cake")

    def orders(client) -> list[int]:
        bodies = [scene.takeaway(scene.line("Cake" if n % 2 else "Fries"), send=True) for n in range(8)]
        return [client.post("orders", body).status_code for body in bodies]

    clients = [api(waiter) for _ in range(4)]
    answers = at_once(*[lambda client=client: orders(client) for client in clients])

    assert answers == [[201, 409] * 4] * 4
    assert numbers(scene) == list(range(1, 17))
    with restaurant_scope(scene.restaurant.pk):
        assert Series.objects.get(name="order").value == 16
    assert [event.seq for event in scene.events()] == list(range(1, 33))
