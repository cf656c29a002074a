"""Where a Redis is: one server, or a group whose primary is found by asking Sentinels.

    redis://user:password@host:6379/0    rediss://… with TLS    unix:///path/to/valkey.sock
    sentinel://user:password@one:26379,two:26379,three:26379/NAME/0

NAME is the group's, as Sentinels call it; the login is the servers', and 0 the database. Redis Cluster is
not among them: the queue's library does not speak it.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

SCHEME = "sentinel"
SENTINEL_PORT = 26379


@dataclass(frozen=True, slots=True)
class Group:
    """What a sentinel:// address says."""

    sentinels: tuple[tuple[str, int], ...]
    name: str
    database: int
    login: dict[str, Any]


def connect(url: str, **options: Any) -> redis.Redis:
    """A client of the server, or of whichever is the group's primary when it connects."""
    group = read_group(url)
    if group is None:
        return redis.Redis.from_url(url, **options)
    watchers = redis.sentinel.Sentinel(group.sentinels, socket_timeout=1, socket_connect_timeout=1)
    client: redis.Redis = watchers.master_for(group.name, db=group.database, **group.login, **options)
    return client


def connect_async(url: str, **options: Any) -> redis.asyncio.Redis:
    group = read_group(url)
    if group is None:
        return redis.asyncio.Redis.from_url(url, **options)
    watchers = redis.asyncio.sentinel.Sentinel(group.sentinels, socket_timeout=1, socket_connect_timeout=1)
    client: redis.asyncio.Redis = watchers.master_for(group.name, db=group.database, **group.login, **options)
    return client


def cache(url: str, **settings: Any) -> dict[str, Any]:
    """An entry of CACHES."""
    options: dict[str, Any] = {
        "CLIENT_CLASS": "django_redis.client.DefaultClient",
        "SOCKET_CONNECT_TIMEOUT": 0.5,
        "SOCKET_TIMEOUT": 0.5,
        "IGNORE_EXCEPTIONS": True,  # the service works on without its cache
    }
    group = read_group(url)
    if group:
        url = f"redis://{_login(group)}{group.name}/{group.database}"
        options |= {
            "CLIENT_CLASS": "django_redis.client.SentinelClient",
            "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
            "SENTINELS": list(group.sentinels),
            "SENTINEL_KWARGS": {"socket_timeout": 1, "socket_connect_timeout": 1},
        }
    return {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, **settings, "OPTIONS": options}


def broker(url: str) -> tuple[str, dict[str, Any]]:
    """Celery's address of the queue, and what it has to be told beside it."""
    group = read_group(url)
    if group is None:
        return url.replace("unix://", "redis+socket://", 1), {}
    places = [f"sentinel://{_login(group)}{host}:{port}/{group.database}" for host, port in group.sentinels]
    return ";".join(places), {"master_name": group.name}


def identity(url: str) -> tuple[Any, ...]:
    """Which server an address names, whatever its login and database number."""
    group = read_group(url)
    if group:
        return (frozenset(group.sentinels), group.name)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return (parts.path,)
    return ((parts.hostname or "").lower(), parts.port or 6379)


def read_group(url: str) -> Group | None:
    """What a sentinel:// address says, or None for an address of one server. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != SCHEME:
        return None
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    name, _, database = parts.path.strip("/").partition("/")
    if not hosts or not name:
        raise ValueError(f"{SCHEME}:// needs hosts and a name: sentinel://one:26379,two:26379/NAME/0")
    given = {"username": unquote(username), "password": unquote(password)}
    return Group(
        sentinels=tuple(_place(host) for host in hosts.split(",")),
        name=name,
        database=int(database or 0),
        login={part: value for part, value in given.items() if value},
    )


def _login(group: Group) -> str:
    if not group.login:
        return ""
    return ":".join(quote(group.login.get(part, ""), "") for part in ("username", "password")) + "@"


def _place(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    return name, int(port or SENTINEL_PORT)
