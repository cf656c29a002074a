"""The API's description is complete, valid, and the one that is checked in."""

import io

import pytest
import yaml
from django.core.management import call_command
from drf_spectacular.validation import validate_schema

from tests.databases import ROOT


@pytest.fixture(scope="module")
def generated() -> str:
    out = io.StringIO()
    call_command("spectacular", "--fail-on-warn", stdout=out)
    return out.getvalue()


def test_it_is_valid_openapi_3_1(generated):
    schema = yaml.safe_load(generated)
    assert schema["openapi"].startswith("3.1")
    validate_schema(schema)


def test_the_checked_in_file_is_current(generated):
    current = (ROOT / "docs" / "openapi.yaml").read_text()
    assert current == generated, "run: ./manage.py spectacular --file docs/openapi.yaml"


def test_every_operation_is_named_once_and_says_what_it_does(generated):
    schema = yaml.safe_load(generated)
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    assert len(operations) > 30
    assert [name for name, operation in operations if not operation.get("summary")] == []
    assert [name for name, operation in operations if "default" not in operation["responses"]] == []
    ids = [operation["operationId"] for _, operation in operations]
    assert len(ids) == len(set(ids))


def test_the_pages_of_the_api_are_served():
    from django.test import Client

    page = Client().get("/api/docs/")
    assert page.status_code == 200
    assert b"https://" not in page.content
    assert b"<script>" not in page.content
    assert Client().get("/api/schema/").status_code == 200
