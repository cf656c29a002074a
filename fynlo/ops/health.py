"""Is it up, is it ready, what is it."""

import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import redis
from django.conf import settings
from django.db import DatabaseError, connection, connections
from django.http import HttpRequest, JsonResponse

from fynlo.redis_servers import connect

from .draining import is_draining
from .schema.plan import before_contract, pending

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0
MIGRATIONS_SECONDS = 10.0  # once in a process's life: all migrations are imported

# What hangs holds a thread here, never one that serves; when all are held, nothing answers: not ready.
_threads = ThreadPoolExecutor(6, thread_name_prefix="health")


def live(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 if this process can serve. Without Redis it can, only slower: the status says `degraded`.

    What is wrong is told inside only: the proxy in front names whom it asks for.
    """
    database, queue, cache = (
        _threads.submit(_ask, question)
        for question in (
            _database_answers,
            functools.partial(_redis_answers, settings.REDIS_URL),
            functools.partial(_redis_answers, settings.REDIS_CACHE_URL),
        )
    )
    checks = {"database": _result(database), "queue": _result(queue), "cache": _result(cache)}
    checks["migrations"] = checks["database"] and _result(
        _threads.submit(_ask, _migrations_are_applied), MIGRATIONS_SECONDS
    )
    can_serve = checks["database"] and checks["migrations"]
    if is_draining():
        status = "draining"
    elif can_serve:
        status = "ok" if all(checks.values()) else "degraded"
    else:
        status = "unavailable"
    body: dict[str, object] = {"status": status}
    if "X-Forwarded-For" not in request.headers:
        body["checks"] = {name: "ok" if is_well else "down" for name, is_well in checks.items()}
    return JsonResponse(body, status=200 if status in ("ok", "degraded") else 503)


def version(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "version": settings.VERSION,
            "git_sha": settings.GIT_SHA,
            "build_time": settings.BUILD_TIME,
            "colour": settings.COLOUR,
        }
    )


def _ask(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except (DatabaseError, redis.RedisError):
        return False
    finally:
        connections.close_all()  # back to the pool


def _result(answer: "Future[bool]", seconds: float = ANSWER_SECONDS) -> bool:
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        answer.cancel()
        return False


def _database_answers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


def _redis_answers(url: str) -> bool:
    with connect(url, socket_timeout=0.5, socket_connect_timeout=0.5) as client:
        return bool(client.ping())


_applied = False


def _migrations_are_applied() -> bool:
    """Whether the schema is as new as this code. What takes away from it waits for the next release."""
    global _applied
    if not _applied:
        missing = before_contract(pending())
        if missing:
            logger.warning("Not ready: migration %s is not applied", missing[0])
        _applied = not missing
    return _applied
