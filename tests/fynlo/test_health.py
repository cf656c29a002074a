"""The pages that say whether it is up."""

from django.test import Client


def test_live_ready_and_version():
    client = Client()
    assert client.get("/health/live").json() == {"status": "ok"}
    ready = client.get("/health")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ok", "checks": {"database": "ok", "redis": "ok"}},
    )
    assert client.get("/version").json() == {"version": "dev", "git_sha": ""}


def test_a_dead_redis_degrades_but_does_not_stop(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/none.sock"
    ready = Client().get("/health")
    assert ready.status_code == 200
    assert ready.json() == {"status": "degraded", "checks": {"database": "ok", "redis": "down"}}


def test_metrics_are_not_on_the_public_port():
    assert Client().get("/metrics").status_code == 404


def test_every_answer_has_its_policies_and_its_request_id():
    response = Client().get("/health/live", headers={"X-Request-ID": "till-4711-abcdef"})
    assert response["X-Request-ID"] == "till-4711-abcdef"
    assert "script-src 'self';" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Frame-Options"] == "DENY"
    odd = Client().get("/health/live", headers={"X-Request-ID": "<script>"})
    assert len(odd["X-Request-ID"]) == 32


def test_an_unknown_api_url_is_a_problem_and_an_unknown_page_a_page():
    response = Client().get("/api/v1/nothing")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "not_found"
    page = Client().get("/nothing")
    assert page.status_code == 404
    assert b"There is no such page." in page.content
