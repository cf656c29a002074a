"""Pictures in S3-compatible storage: the web process as production runs it, moto's S3 on loopback."""

import json
import uuid
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import MenuItem
from tests import factories
from tests.ops.backup.conftest import bucket_server, s3  # noqa: F401  (a fixture)
from tests.processes import web_server
from tests.restaurants.test_photo import drawn


def ask(method: str, url: str, token: str, body: bytes | None = None) -> tuple[int, Any, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/jpeg"}
    try:
        answer = urlopen(Request(url, body, headers, method=method), timeout=60)
    except HTTPError as refusal:
        answer = refusal
    with answer:
        text = answer.read()
        return answer.status, answer.headers, json.loads(text) if text else None


@pytest.mark.timeout(300)
def test_pictures_go_to_a_bucket_and_are_shown_from_there(bucket_server, restaurant, manager, test_database):  # noqa: F811
    client, bucket = s3(bucket_server), f"menu-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    with restaurant_scope(restaurant.pk):
        item = MenuItem.objects.get(code="BURGER")
    token = factories.token_of(manager)
    environment = {
        "ENABLE_SPACES_STORAGE": "1",
        "SPACES_ACCESS_KEY_ID": "for-tests",
        "SPACES_SECRET_ACCESS_KEY": "for-tests",
        "SPACES_BUCKET": bucket,
        "SPACES_REGION": "eu-west-2",
        "SPACES_ENDPOINT": bucket_server,
        "CDN_ENDPOINT": f"{bucket_server}/{bucket}",
    }
    with web_server(test_database, **environment) as web:
        base = f"{web}/api/v1/restaurants/{restaurant.pk}"
        place = f"{base}/items/{item.pk}/photo"
        status, headers, document = ask("PUT", place, token, drawn("JPEG"))
        assert status == 200
        assert f"img-src 'self' data: {bucket_server};" in headers["Content-Security-Policy"]
        (key,) = [row["Key"] for row in client.list_objects_v2(Bucket=bucket)["Contents"]]
        assert key.startswith(f"restaurants/{restaurant.pk}/menu/")
        assert document["photo_url"] == f"{bucket_server}/{bucket}/{key}"
        with urlopen(document["photo_url"], timeout=60) as shown:
            assert shown.headers["Content-Type"] == "image/webp"
            assert shown.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert shown.read()[8:12] == b"WEBP"
        grants = client.get_object_acl(Bucket=bucket, Key=key)["Grants"]
        everybody = "http://acs.amazonaws.com/groups/global/AllUsers"
        assert [g["Permission"] for g in grants if g["Grantee"].get("URI") == everybody] == ["READ"]

        assert ask("DELETE", place, token)[0] == 204
        assert "Contents" not in client.list_objects_v2(Bucket=bucket)

        client.delete_bucket(Bucket=bucket)
        status, headers, problem = ask("PUT", place, token, drawn("JPEG"))
        assert (status, problem["code"], headers["Retry-After"]) == (503, "not_stored", "30")
        assert problem["errors"][0]["field"] == "photo"
        assert ask("GET", f"{base}/menu", token)[0] == 200
    with restaurant_scope(restaurant.pk):
        assert MenuItem.objects.get(pk=item.pk).photo == ""
