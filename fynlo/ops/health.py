"""Is it up, is it ready, what is it."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse


def live(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """This process can serve: 200 with the database, 503 without. Redis down only degrades it."""
    checks = {"database": _database_answers(), "redis": _redis_answers()}
    status = "unavailable" if not checks["database"] else "ok" if checks["redis"] else "degraded"
    body = {"status": status, "checks": {name: "ok" if ok else "down" for name, ok in checks.items()}}
    return JsonResponse(body, status=200 if checks["database"] else 503)


def version(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"version": settings.VERSION, "git_sha": settings.GIT_SHA})


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except DatabaseError:
        return False


def _redis_answers() -> bool:
    try:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
        with client:
            return bool(client.ping())
    except redis.RedisError:
        return False
