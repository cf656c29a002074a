"""Every page in a real browser: nothing on it goes against the Content-Security-Policy."""

import os
import shutil
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections
from playwright.sync_api import sync_playwright

from accounts.cookies import COOKIE_NAME
from accounts.models import Device, User
from accounts.services import make_platform_owner, password_link
from tests import factories
from tests.backoffice.conftest import user_of
from tests.databases import database_role, role_url
from tests.platform.conftest import PASSWORD, token_for
from tests.processes import web_server

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
MOST = 70  # pages of one site

pytestmark = pytest.mark.timeout(300)


class Watched:
    """A browser that notes what the policy refused, on every page."""

    def __init__(self, browser: Any, url: str) -> None:
        self.url = url
        self.context = browser.new_context()
        self.refused: list[Any] = []
        self.seen: list[str] = []
        self.context.expose_binding("noteRefused", lambda source, what: self.refused.append(what))
        self.context.add_init_script(
            "document.addEventListener('securitypolicyviolation', e => window.noteRefused("
            "[location.pathname, e.violatedDirective, e.blockedURI, e.sourceFile]))"
        )
        self.page = self.context.new_page()
        self.page.on("console", self._note)

    def _note(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.refused.append([urlsplit(self.page.url).path, message.text])

    def open(self, path: str, wait_for: str = "body") -> None:
        answer = self.page.goto(self.url + path)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        self.page.wait_for_selector(wait_for, timeout=30_000)
        self.page.wait_for_load_state("networkidle")
        self.seen.append(path)

    def walk(self, start: str) -> None:
        """Every page that links lead to, one of each kind."""
        waiting, kinds = [start], set()
        while waiting and len(self.seen) < MOST:
            path = waiting.pop(0)
            kind = "/".join("N" if len(part) > 30 or part.isdigit() else part for part in path.split("/"))
            if kind in kinds or "logout" in path or "csv" in path:
                continue
            kinds.add(kind)
            self.open(path)
            links = self.page.eval_on_selector_all("a[href]", "found => found.map(a => a.href)")
            for link in links:
                parts = urlsplit(link)
                if link.startswith(self.url + start) and parts.path not in waiting:
                    waiting.append(parts.path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        warnings.warn("No Chromium: THE PAGES' POLICY IS NOT TESTED. Install chromium.", stacklevel=1)
        pytest.skip("no chromium")
    with sync_playwright() as playwright:
        # Playwright's loop runs in this thread; Django takes that for asynchronous code.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[str]:
    with web_server(str(connections["default"].settings_dict["NAME"])) as url:
        yield url


def session_cookie(user: User, **more: Any) -> str:
    """The key of a session in which the person has signed in."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.update(more)
    session.save()
    return str(session.session_key)


def test_the_policy_is_one_that_can_be_broken(browser, web):
    """So that the other tests mean something: an inline script is seen, and does not run."""
    watched = Watched(browser, web)
    watched.open("/")
    watched.page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran = true';"
        "document.body.append(s)"
    )
    watched.page.wait_for_timeout(300)
    assert watched.page.evaluate("window.ran") is None
    assert any("script-src" in str(what) for what in watched.refused)


def test_pages_that_anybody_sees(browser, web, restaurant, waiter):
    watched = Watched(browser, web)
    for path in ("/", "/nowhere", "/kitchen/", "/admin/login/", "/set-password/x/y"):
        watched.open(path)
    watched.open(urlsplit(password_link(user_of(waiter))).path, "input[type=password]")
    watched.open("/api/docs/", ".opblock-summary")
    assert watched.refused == []


def test_a_kitchen_screen(browser, web, restaurant):
    watched = Watched(browser, web)
    token = factories.token_of(factories.device(restaurant, Device.Kind.KITCHEN))
    watched.context.add_cookies([{"name": COOKIE_NAME, "value": token, "url": web}])
    watched.page.goto(f"{web}/kitchen/")
    watched.page.wait_for_selector("#nothing, .ticket", state="attached")
    assert watched.refused == []


def test_the_whole_back_office(browser, web, restaurant, owner):
    watched = Watched(browser, web)
    key = session_cookie(user_of(owner), restaurant_id=restaurant.pk)
    watched.context.add_cookies([{"name": "fynlo_session", "value": key, "url": web}])
    watched.walk("/admin/")
    assert watched.refused == []
    assert len(watched.seen) > 25, watched.seen


def test_the_whole_platform_console(browser, test_database, restaurant):
    owner = factories.make_user("Pat Platform")
    with database_role("platform"):
        user, _ = make_platform_owner(owner.email, password=PASSWORD)
        code = token_for(user)
    login = role_url("platform", test_database)
    with web_server(test_database, DB_ROLE="platform", DATABASE_URL=login) as url:
        watched = Watched(browser, url)
        watched.open("/login/", "input[name=token]")
        for name, value in (("username", user.email), ("password", PASSWORD), ("token", code)):
            watched.page.fill(f"input[name={name}]", value)
        watched.page.click("input[type=submit], button[type=submit]")
        watched.page.wait_for_url(url + "/")
        watched.walk("/")
        assert watched.refused == []
        assert len(watched.seen) > 8, watched.seen
