"""Queue and cache on a group of servers that Sentinels watch: the primary dies, and work goes on."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import redis

from fynlo import redis_servers
from tests.databases import ROOT
from tests.ops.clusters import valkey_program
from tests.processes import free_port

NAME = "fynlo"

# Works as the application does: queue a task, wake the screens, remember something.
WORK = """
import django, sys
django.setup()
from django.core.cache import cache, caches
from django.conf import settings
from fynlo.events import poke
from fynlo.redis_servers import connect
from fynlo.tenancy.scope import bind_restaurant
from orders.tasks import drain_sales
drain_sales.apply_async(retry=False)
client = connect(settings.REDIS_URL)
with bind_restaurant(7):
    cache.set("one", "kept")
    kept = cache.get("one")
caches["ratelimit"].add("two", 0)
with client.pubsub(ignore_subscribe_messages=True) as pokes:
    pokes.subscribe(poke.CHANNEL)
    pokes.get_message(timeout=5)
    poke.poke(7, 1)
    message = pokes.get_message(timeout=5)
print(client.llen("celery"), kept, caches["ratelimit"].incr("two"), message["data"].decode())
"""


@pytest.fixture
def group():
    """A primary, its replica and three Sentinels; yields the address and a way to kill the primary."""
    processes = {}
    with tempfile.TemporaryDirectory(prefix="fynlo-sentinel-") as name:
        ports = [free_port() for _ in range(5)]
        primary, replica, *sentinels = ports

        def start(port, text, *arguments):
            path = Path(name) / f"{port}.conf"
            path.write_text(f"port {port}\nbind 127.0.0.1\ndir {name}\nlogfile {name}/{port}.log\n{text}")
            processes[port] = subprocess.Popen([valkey_program(), path, *arguments])
            wait_for(lambda: redis.Redis(port=port).ping())

        try:
            server = 'save ""\nrequirepass p@ss:word\nmasterauth p@ss:word\n'
            start(primary, server)
            start(replica, f"{server}replicaof 127.0.0.1 {primary}\n")
            for port in sentinels:
                start(
                    port,
                    f"sentinel monitor {NAME} 127.0.0.1 {primary} 2\nsentinel auth-pass {NAME} p@ss:word\n"
                    f"sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 5000\n",
                    "--sentinel",
                )
            wait_for(lambda: knows_all(sentinels[0]))
            hosts = ",".join(f"127.0.0.1:{port}" for port in sentinels)
            yield f"sentinel://:p%40ss%3Aword@{hosts}/{NAME}/0", processes[primary].kill, replica
        finally:
            for process in processes.values():
                process.kill()
                process.wait()


def knows_all(sentinel):
    with redis.Redis(port=sentinel) as client:
        state = client.sentinel_master(NAME)
    return (state["num-slaves"], state["num-other-sentinels"]) == (1, 2)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except redis.AuthenticationError:
            return  # it answers
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def work(url):
    done = subprocess.run(
        [sys.executable, "-c", WORK],
        cwd=ROOT,
        env={
            **os.environ,
            "REDIS_URL": url,
            "REDIS_CACHE_URL": url,
            "DJANGO_SETTINGS_MODULE": "fynlo.settings",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_queue_cache_and_wake_ups_follow_the_primary(group):
    url, kill_primary, replica = group
    assert work(url) == "1 kept 1 7 1"
    with redis_servers.connect(url) as client:
        assert client.execute_command("WAIT", 1, 5000) == 1  # what was queued is on the replica too
    kill_primary()
    with redis_servers.connect(url) as client:
        wait_for(lambda: client.connection_pool.get_master_address() == ("127.0.0.1", replica))
        wait_for(lambda: client.info("replication")["role"] == "master")
    assert work(url) == "2 kept 2 7 1"  # the task and the count of before are still there


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("sentinel:///fynlo", "needs hosts and a name"),
        ("sentinel://one:26379", "needs hosts and a name"),
        ("sentinel://one:x/fynlo", "invalid literal"),
    ],
)
def test_an_address_that_names_no_group_is_refused(url, wrong):
    with pytest.raises(ValueError, match=wrong):
        redis_servers.read_group(url)


def test_an_address_is_read_in_full():
    group = redis_servers.read_group("sentinel://till:p%40ss@one,two:7/fynlo-queue/3")
    assert group == redis_servers.Group(
        (("one", 26379), ("two", 7)), "fynlo-queue", 3, {"username": "till", "password": "p@ss"}
    )
    assert redis_servers.broker("sentinel://till:p%40ss@one,two:7/fynlo-queue/3") == (
        "sentinel://till:p%40ss@one:26379/3;sentinel://till:p%40ss@two:7/3",
        {"master_name": "fynlo-queue"},
    )
