"""Slack, the status page and Prometheus, each spoken to over HTTP on loopback."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from threading import Thread
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import call_command


@contextmanager
def vendor(*answers):
    """An HTTP server that gives these answers (status, body) in turn, the last again and again."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            heard.append((self.command, self.path, dict(self.headers), body.decode()))
            status, text = answers[min(len(heard), len(answers)) - 1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()


def run(*arguments):
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command(*arguments, "--json", stdout=out, stderr=err)
    except SystemExit as end:
        code = end.code
    return code, json.loads(out.getvalue())


@pytest.fixture
def configure(settings):
    """Set up who is told."""

    def change(**notify):
        empty = dict.fromkeys(
            ("slack_webhook", "statuspage_id", "statuspage_token", "statuspage_component"), ""
        )
        settings.ENV = SimpleNamespace(
            environment="production", notify=SimpleNamespace(**(empty | {"statuspage_base": ""} | notify))
        )

    return change


def test_slack_hears_one_line(configure):
    with vendor((200, "ok")) as (url, heard):
        configure(slack_webhook=f"{url}/services/T0/B0/secret")
        code, answer = run("notify", "--event", "deploy-done", "--version", "7.1.0", "--text", "By hand.")
    ((method, path, headers, body),) = heard
    assert (code, method, path) == (0, "POST", "/services/T0/B0/secret")
    assert headers["Content-Type"] == "application/json"
    said = ":white_check_mark: Fynlo 7.1.0 serves production. By hand."
    assert json.loads(body) == {"text": said}
    assert answer["message"] == f"Told Slack: {said}"


@pytest.mark.parametrize("event", ["deploy-failed", "deploy-done", "rollback-done"])
def test_what_the_scripts_of_deploy_say_is_known(configure, event):
    with vendor((200, "ok")) as (url, heard):
        configure(slack_webhook=url)
        assert run("notify", "--event", event, "--version", "7.1.0")[0] == 0
    assert "7.1.0" in heard[0][3]


def test_a_refusal_is_told_and_the_address_is_not(configure):
    with vendor((404, "no_service")) as (url, _):
        configure(slack_webhook=f"{url}/secret")
        code, answer = run("notify", "--event", "maintenance")
        assert (code, answer["message"]) == (3, "Slack refused it: 404 no_service")
    code, answer = run("notify", "--event", "maintenance")
    assert (code, answer["message"]) == (6, "Slack does not answer: ConnectError.")
    configure()
    code, answer = run("notify", "--event", "maintenance")
    assert (code, answer["message"]) == (2, "SLACK_WEBHOOK is not set: nobody was told.")


def test_the_status_page_has_its_component_set(configure):
    with vendor((200, "{}"), (401, "no")) as (url, heard):
        configure(statuspage_base=url, statuspage_id="p1", statuspage_token="t", statuspage_component="c1")
        assert run("notify_status", "under_maintenance")[0] == 0
        method, path, headers, body = heard[0]
        assert (method, path, headers["Authorization"]) == ("PATCH", "/pages/p1/components/c1", "OAuth t")
        assert json.loads(body) == {"component": {"status": "under_maintenance"}}
        code, answer = run("notify_status", "operational")
        assert (code, answer["message"]) == (3, "Statuspage refused it: 401 no")
    configure(statuspage_id="p1")
    code, answer = run("notify_status", "operational")
    assert (code, answer["message"]) == (
        2,
        "STATUSPAGE_TOKEN, API_COMPONENT_ID not set: the status page stays as it is.",
    )


def number(value):
    result = [{"metric": {}, "value": [1700000000, value]}]
    return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


NOTHING = 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}})


@pytest.mark.parametrize(
    ("errors", "p95", "code", "told"),
    [
        ("0.0005", "0.21", 0, "99.950% answered (99.9% promised, 50% of the error budget used), p95 210 ms"),
        ("0.0021", "0.21", 3, "99.790% answered (99.9% promised, 210% of the error budget used), p95 210 ms"),
        ("0", "0.61", 3, "100.000% answered (99.9% promised, 0% of the error budget used), p95 610 ms"),
    ],
)
def test_the_promise_is_compared_with_what_was_measured(errors, p95, code, told):
    with vendor(number("2000000"), number(errors), number(p95)) as (url, heard):
        found, answer = run("slo_report", "--prometheus", url, "--window", "24h")
    assert (found, answer["message"]) == (code, f"24h: 2,000,000 requests, {told} (500 ms promised).")
    queries = [parse_qs(urlsplit(path).query)["query"][0] for _, path, _, _ in heard]
    assert all("[24h]" in query and "{{" not in query for query in queries)


def test_no_prometheus_no_data_and_no_answer_are_told_apart():
    assert run("slo_report")[0] == 2
    assert run("slo_report", "--prometheus", "http://127.0.0.1:1")[0] == 6
    assert run("slo_report", "--prometheus", "http://127.0.0.1:1", "--window", "long")[0] == 2
    with vendor(NOTHING) as (url, _):
        code, answer = run("slo_report", "--prometheus", url)
    assert (code, answer["message"]) == (75, "Prometheus has seen no requests in 30d.")
    with vendor((200, "<html>")) as (url, _):
        assert run("slo_report", "--prometheus", url)[0] == 6
    with vendor(number("NaN")) as (url, _):
        assert run("slo_report", "--prometheus", url)[0] == 75


def test_the_queries_are_promql():
    from promql_parser import parse

    from fynlo.ops import slo

    for query in (slo.ERROR_RATIO, slo.P95, slo.REQUESTS):
        assert parse(query.format(window="30d")) is not None
