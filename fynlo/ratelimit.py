"""How often somebody may ask: 429 with Retry-After for who asks more.

`limit_caller` guards every request of the API by person and by device; it is on the way of each order, so
a process takes permissions from Redis by the twentieth part and mostly only counts down (django-ratelimit
asks Redis each time, which costs an eighth of an order). `limit` guards the doors, by account, device or
address, through django-ratelimit. Without Redis nobody is limited: the service works on without it.
"""

import ipaddress
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django_ratelimit.core import get_usage
from django_redis import get_redis_connection

from fynlo.api.address import client_address
from fynlo.api.exceptions import problem_json
from fynlo.errors import DomainError

logger = logging.getLogger(__name__)

PERIOD = 60  # seconds
# How often a minute. RATE_LIMIT_FACTOR multiplies them all; 0 is no limit.
LIMITS = {
    # A till that was offline sends 200 orders, each opened, paid and closed, while it goes on selling.
    "api": 1500,
    # Sums over thousands of rows: screens that show them ask once a minute.
    "reports": 60,
    # Whoever leafs through the back office; its front page asks for today's figures every few seconds.
    "office": 300,
    # Checking a password keeps a processor busy for a tenth of a second. Wrong ones lock out as well.
    "password": 5,
    # A shopping centre's restaurants may share an address.
    "password by address": 60,
    # Each may have Supabase asked over the network.
    "supabase": 30,
    # Ten waiters coming on shift at one till.
    "pin": 30,
    # Links in mails that many open at once behind one address; tokens cannot be guessed.
    "password page": 20,
    # The document is made anew for each.
    "schema": 30,
    # Tills whose sign-in has ended ask once or twice, then show the sign-in page.
    "refused tokens": 120,
    # What no provider has signed.
    "unsigned webhooks": 60,
}
PARTS = 20
SILENCE = 5.0  # seconds for which a Redis that does not answer is not asked again
MOST_HELD = 20_000


class TooManyRequests(DomainError):
    status = 429
    code = "too_many_requests"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = max(retry_after, 1)
        super().__init__(f"Too many requests. Try again in {self.retry_after} s.")


def limit(group: str, value: str) -> None:
    """Count one use of a door by `value`, such as an account. Raises TooManyRequests."""
    most = LIMITS[group] * settings.RATE_LIMIT_FACTOR
    if not most:
        return
    usage = get_usage(
        None, group=group, key=lambda *_: value.lower(), rate=(most, PERIOD), increment=True
    )  # None where Redis is gone
    if usage and usage["should_limit"]:
        raise TooManyRequests(usage["time_left"])


def limit_address(group: str, address: str) -> None:
    limit(group, address_block(address))


def limit_caller(caller: Any, group: str = "api") -> None:
    """Count one request of a signed-in person and of the device they use. Raises TooManyRequests."""
    most = LIMITS[group] * settings.RATE_LIMIT_FACTOR
    if not most:
        return
    person, device = getattr(caller, "membership_id", None), caller.device_id
    if person:
        permissions.spend((group, person), most)
    if device:
        permissions.spend((group, device), most)


View = Callable[..., HttpResponseBase]


def limited(group: str) -> Callable[[View], View]:
    """Limit one of Django's views by the address that asks."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                limit_address(group, client_address(request))
            except TooManyRequests as refusal:
                return too_many(request, refusal)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def too_many(request: HttpRequest, refusal: TooManyRequests) -> HttpResponse:
    """A refusal where DRF does not reach: a problem below /api/, a page elsewhere."""
    if request.path.startswith(("/api/", "/webhooks/")):
        headers = {"Retry-After": str(refusal.retry_after)}
        return problem_json(refusal.status, refusal.code, refusal.message, **headers)
    page = {"title": "One moment, please", "detail": refusal.message}
    response = render(request, "error.html", page, status=refusal.status)
    response["Retry-After"] = str(refusal.retry_after)
    return response


def address_block(address: str) -> str:
    """The address, or of IPv6 the /64 that one household or restaurant has to itself."""
    with suppress(ValueError):
        parsed = ipaddress.ip_address(address)
        if isinstance(parsed, ipaddress.IPv6Address) and not parsed.ipv4_mapped:
            return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return address


@dataclass(slots=True)
class _Held:
    left: int
    until: float
    is_spent: bool  # Redis has no more of them until then


class _Permissions:
    """What this process has taken from Redis and not yet spent.

    Never more than the limit are given out over all processes together. What one has taken and does not
    need another goes without: a twentieth of the limit at most.
    """

    # A minute begins with its first request, so nobody's clock matters.
    TAKE = """
        local used = redis.call('INCRBY', KEYS[1], ARGV[1])
        if used == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
        return {used, redis.call('PTTL', KEYS[1])}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taking = threading.Lock()  # one at a time, so that nobody is refused while some are on the way
        self._held: dict[tuple[str, Any], _Held] = {}
        self._silent_until = 0.0

    def spend(self, name: tuple[str, Any], most: int) -> None:
        """Use one up; raises TooManyRequests where none is left."""
        if not self._spend_held(name):
            with self._taking:
                if not self._spend_held(name):
                    self._take(name, most)

    def _spend_held(self, name: tuple[str, Any]) -> bool:
        now = time.monotonic()
        with self._lock:
            held = self._held.get(name)
            if held is None or held.until <= now:
                return False
            if held.left:
                held.left -= 1
                return True
            if held.is_spent:
                raise TooManyRequests(int(held.until - now) + 1)
            return False

    def _take(self, name: tuple[str, Any], most: int) -> None:
        now = time.monotonic()
        if now < self._silent_until:
            return
        part = max(most // PARTS, 1)
        try:
            client = get_redis_connection(settings.RATELIMIT_USE_CACHE)
            used, milliseconds = client.eval(
                self.TAKE, 1, f"fynlo:limit:{name[0]}:{name[1]}", part, PERIOD * 1000
            )
        except redis.RedisError as error:
            self._silent_until = now + SILENCE
            logger.warning("Redis does not answer, so requests are not limited: %s", error)
            return
        granted = max(min(part, most - (used - part)), 0)
        with self._lock:
            if len(self._held) >= MOST_HELD:
                self._held = {n: held for n, held in self._held.items() if held.until > now}
            self._held[name] = held = _Held(granted, now + milliseconds / 1000, granted < part)
            held.left -= bool(granted)
        if not granted:
            raise TooManyRequests(milliseconds // 1000 + 1)


permissions = _Permissions()
