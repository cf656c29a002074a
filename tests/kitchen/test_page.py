"""The kitchen's page: joining, and a screen that loses and doubles nothing whatever happens to its line."""

import os
import re
import shutil
import signal
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import sync_playwright

from accounts.cookies import COOKIE_NAME
from accounts.models import Device
from accounts.services import create_device
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.models import KitchenTicket
from restaurants.models import KitchenStation, MenuItem, Restaurant, Table
from tests import factories
from tests.client import ApiClient
from tests.processes import web_server

from .browser import Sockets, Wire

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
SOON = 10_000  # milliseconds
RED_BAR = 20_000


class Till:
    """Sends orders to the kitchen and says what the kitchen has by its rows."""

    def __init__(self, restaurant: Restaurant, waiter: Any) -> None:
        self.restaurant, self.api = restaurant, ApiClient(waiter)
        with restaurant_scope(restaurant.pk):
            self.fries = str(MenuItem.objects.get(code="FRIES").pk)
            self.tables = {name: str(pk) for pk, name in Table.objects.values_list("pk", "name")}

    def order(self, table: str, note: str = "") -> str:
        line = {"id": str(uuid7()), "menu_item_id": self.fries, "quantity": 2, "note": note}
        body = {"id": str(uuid7()), "kind": "dine_in", "table_id": self.tables[table], "covers": 2}
        answer = self.api.post("orders", {**body, "items": [line], "send": True})
        assert answer.status_code == 201, answer.content
        return str(body["id"])

    def statuses(self) -> list[str]:
        with restaurant_scope(self.restaurant.pk):
            return list(KitchenTicket.objects.order_by("sent_at", "pk").values_list("status", flat=True))


class Screen:
    """A kitchen screen in a browser."""

    def __init__(self, browser: Any, url: str, device: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.context.add_cookies([{"name": COOKIE_NAME, "value": factories.token_of(device), "url": url}])
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{url}/kitchen/")

    def shows(self, *tables: str, timeout: float = SOON) -> None:
        """Exactly these tickets, in this order."""
        wanted = "\n".join(tables)
        headings = "[...document.querySelectorAll('#tickets h2')].map(h => h.textContent)"
        script = f"wanted => {headings}.join('\\n') === wanted"
        try:
            self.page.wait_for_function(script, arg=wanted, timeout=timeout)
        except Exception as error:
            found = self.page.locator("#tickets h2").all_inner_texts()
            raise AssertionError(f"shows {found}, not {tables}; errors {self.errors}") from error

    def is_in_state(self, state: str, timeout: float = SOON) -> None:
        self.page.wait_for_selector(f"body[data-state={state}]", timeout=timeout)

    def has_sent_all(self, timeout: float = SOON) -> None:
        self.page.wait_for_selector("#waiting", state="hidden", timeout=timeout)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        warnings.warn("No Chromium: THE KITCHEN PAGE IS NOT TESTED. Install chromium.", stacklevel=1)
        pytest.skip("no chromium")
    with sync_playwright() as playwright:
        # Playwright's loop runs in this thread; Django takes that for asynchronous code.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def servers(test_database: str) -> Iterator[tuple[str, Sockets, Wire]]:
    """The address of the pages, the sockets' process and the wire before it."""
    sockets = Sockets(test_database)
    with Wire(sockets.port) as wire:  # noqa: SIM117
        with web_server(test_database, WEBSOCKET_URL=f"ws://127.0.0.1:{wire.port}") as url:
            sockets.env = {"BASE_URL": url}
            sockets.start()
            try:
                yield url, sockets, wire
            finally:
                sockets.close()


@pytest.fixture
def till(restaurant, waiter):
    return Till(restaurant, waiter)


@pytest.fixture
def screen(browser, servers, restaurant):
    url, _, _ = servers
    screen = Screen(browser, url, factories.device(restaurant, Device.Kind.KITCHEN))
    yield screen
    screen.context.close()
    assert screen.errors == []


def test_an_evening_on_one_screen(screen, till):
    screen.is_in_state("live")
    screen.shows()
    assert screen.page.inner_text("#nothing") == "All done. New orders appear here."
    till.order("T1", note="<b>NUT ALLERGY</b>")
    till.order("T2")
    screen.shows("T1", "T2")
    assert screen.page.inner_text(".item .note") == "<b>NUT ALLERGY</b>"

    screen.page.click(".item button >> nth=0")
    screen.page.wait_for_selector(".ticket:first-child .item.done")
    screen.has_sent_all()
    assert screen.page.get_attribute(".item button >> nth=0", "aria-pressed") == "true"

    screen.page.keyboard.press("1")
    screen.shows("T2")
    screen.has_sent_all()
    assert till.statuses() == ["bumped", "open"]

    screen.page.keyboard.press("u")
    screen.shows("T1", "T2")
    screen.has_sent_all()
    assert till.statuses() == ["open", "open"]
    assert screen.page.inner_text(".badge.recalled") == "RECALLED"

    screen.page.click(".ticket:nth-child(2) .bump")
    screen.shows("T1")
    screen.page.reload()
    screen.shows("T1")
    screen.page.keyboard.press("r")
    screen.page.click("#panel-rows button")
    screen.shows("T1", "T2")
    screen.has_sent_all()
    assert till.statuses() == ["open", "open"]


def test_a_screen_shows_its_station_and_what_is_to_be_made_in_all(screen, till, restaurant):
    till.order("T1")
    till.order("T3")
    screen.shows("T1", "T3")
    screen.page.keyboard.press("a")
    assert screen.page.inner_text("#panel-rows").split() == ["4", "Fries"]
    screen.page.click("nav >> text=Bar")
    screen.shows()
    screen.is_in_state("live")
    screen.page.reload()
    screen.is_in_state("live")
    screen.shows()
    screen.page.click("nav >> text=Grill")
    screen.shows("T1", "T3")
    screen.page.keyboard.press("s")
    fries = screen.page.locator("#panel-rows li", has_text="Fries")
    fries.locator("button").click()
    fries.get_by_text("Back on").wait_for()
    with restaurant_scope(restaurant.pk):
        assert MenuItem.objects.get(code="FRIES").is_sold_out


def test_a_cut_wire_loses_and_doubles_nothing(screen, till, servers):
    _, _, wire = servers
    screen.is_in_state("live")
    # Before anything is ordered: an answer by HTTP that is on its way would bring the third ticket.
    screen.context.route("**/api/**", lambda route: route.abort())
    till.order("T1")
    till.order("T2")
    screen.shows("T1", "T2", timeout=RED_BAR)
    wire.is_cut = True
    till.order("T3")
    screen.is_in_state("offline", timeout=RED_BAR)
    assert re.fullmatch(r"OFFLINE since \d\d:\d\d", screen.page.inner_text("#offline strong"))
    assert screen.page.is_hidden("#nothing")

    screen.page.keyboard.press("1")
    screen.shows("T2")
    assert screen.page.inner_text("#waiting") == "1 to send"
    assert till.statuses() == ["open", "open", "open"]

    wire.is_cut = False
    screen.context.unroute("**/api/**")
    screen.is_in_state("live", timeout=RED_BAR)
    screen.shows("T2", "T3")
    screen.has_sent_all()
    assert till.statuses() == ["bumped", "open", "open"]


def test_a_server_that_is_about_to_stop_is_left_calmly(screen, till, servers):
    """No flicker of CONNECTING, nothing missed: during every deployment cooks look at this."""
    _, sockets, _ = servers
    till.order("T1")
    screen.shows("T1")
    screen.is_in_state("live")
    screen.page.evaluate(
        """() => {
            window.states = [];
            const note = () => window.states.push(document.body.dataset.state);
            new MutationObserver(note).observe(document.body, { attributeFilter: ["data-state"] });
        }"""
    )
    with screen.page.expect_websocket():
        sockets.process.send_signal(signal.SIGUSR1)
    till.order("T2")
    screen.shows("T1", "T2")
    assert set(screen.page.evaluate("window.states")) == {"live"}


def test_without_sockets_the_screen_asks_by_http(screen, till, servers):
    _, sockets, _ = servers
    till.order("T1")
    screen.shows("T1")
    sockets.kill()
    till.order("T2")
    screen.shows("T1", "T2", timeout=RED_BAR)
    screen.is_in_state("live")
    screen.page.keyboard.press("1")
    screen.shows("T2")
    sockets.start()
    till.order("T3")
    screen.shows("T2", "T3", timeout=RED_BAR)
    screen.has_sent_all()
    assert till.statuses() == ["bumped", "open", "open"]


def test_a_revoked_screen_asks_to_be_joined_again(screen, till, restaurant, manager):
    screen.is_in_state("live")
    with restaurant_scope(restaurant.pk):
        device_id = Device.objects.get(kind=Device.Kind.KITCHEN).pk
    assert ApiClient(manager).post(f"devices/{device_id}/revoke").status_code == 200
    screen.page.wait_for_url("**/kitchen/join", timeout=SOON)


# Without a browser


@pytest.fixture
def visitor():
    return ApiClient().http  # with an address of its own, for wrong tries


def join(visitor: Client, restaurant_id: object, code: str) -> Any:
    return visitor.post("/kitchen/join", {"restaurant": restaurant_id, "code": code})


def test_joining_by_code(visitor, restaurant, manager):
    with restaurant_scope(restaurant.pk):
        _, code = create_device(name="Pass", kind=Device.Kind.KITCHEN, by=manager)
    assert "Join this screen" in visitor.get("/kitchen/").content.decode()
    joined = join(visitor, restaurant.pk, f" {code.lower()} ")
    assert (joined.status_code, joined["Location"]) == (302, "/kitchen/")
    assert joined.cookies[COOKIE_NAME]["httponly"]
    page = visitor.get("/kitchen/")
    assert "The Copper Pot" in page.content.decode()
    assert page.context["config"]["device_name"] == "Pass"
    assert "no-store" in page["Cache-Control"]
    assert "inline" not in page["Content-Security-Policy"]

    again = join(ApiClient().http, restaurant.pk, code)
    assert again.status_code == 422
    assert "This code is wrong, used or out of date." in again.content.decode()
    assert COOKIE_NAME not in again.cookies


@pytest.mark.parametrize("number", ["", "x", "0", "-1", "99999999999999999999"])
def test_a_number_that_is_none(visitor, number):
    answer = join(visitor, number, "ABCDEFGH")
    assert answer.status_code == 422
    assert "Enter the restaurant&#x27;s number and the code." in answer.content.decode()


def test_guessing_codes_is_locked_out(visitor, restaurant):
    answers = [join(visitor, restaurant.pk, "ABCDEFGH").status_code for _ in range(31)]
    assert answers == [422] * 30 + [429]
    assert (
        "Too many wrong tries. Try again in 15 minutes."
        in join(visitor, restaurant.pk, "ABCDEFGH").content.decode()
    )


def test_a_tills_code_joins_no_screen_and_is_not_used_up(visitor, restaurant, manager):
    with restaurant_scope(restaurant.pk):
        _, code = create_device(name="Till 1", kind=Device.Kind.TILL, by=manager)
    assert join(visitor, restaurant.pk, code).status_code == 422
    till = ApiClient(restaurant_id=restaurant.pk).post("devices/join", {"code": code})
    assert (till.status_code, till.json()["device"]["name"]) == (200, "Till 1")


def test_another_restaurants_code_joins_nothing(visitor, restaurant, other_restaurant, stranger):
    with restaurant_scope(other_restaurant.pk):
        _, code = create_device(name="Theirs", kind=Device.Kind.KITCHEN, by=stranger)
    assert join(visitor, restaurant.pk, code).status_code == 422


def test_a_suspended_restaurant_is_told_so(visitor, restaurant, dba):
    device = factories.device(restaurant, Device.Kind.KITCHEN)
    visitor.cookies[COOKIE_NAME] = factories.token_of(device)
    assert visitor.get("/kitchen/").status_code == 200
    dba.execute("UPDATE restaurants_restaurant SET status = 'suspended' WHERE id = %s", [restaurant.pk])
    page = visitor.get("/kitchen/")
    assert page.status_code == 403
    assert "This restaurant is suspended." in page.content.decode()


def test_only_a_station_of_ones_own_is_chosen(visitor, restaurant, other_restaurant):
    visitor.cookies[COOKIE_NAME] = factories.token_of(factories.device(restaurant, Device.Kind.KITCHEN))
    with restaurant_scope(restaurant.pk):
        ours = str(KitchenStation.objects.get(name="Grill").pk)
    with restaurant_scope(other_restaurant.pk):
        theirs = str(KitchenStation.objects.get(name="Grill").pk)

    def chosen(station: str) -> str | None:
        return visitor.get("/kitchen/", {"station": station}).context["config"]["station_id"]

    assert [chosen(ours), chosen(theirs), chosen("x"), chosen("")] == [ours, None, None, None]


def test_a_form_from_elsewhere_is_refused(restaurant):
    strict = Client(enforce_csrf_checks=True)
    assert join(strict, restaurant.pk, "ABCDEFGH").status_code == 403
