"""An HTTP client for tests."""

import json
import secrets
import uuid
from typing import Any

from django.test import Client

from accounts.staff import JoinedDevice, Staff
from tests import factories


class ApiClient:
    """Signed in as `caller`, bound to the caller's restaurant unless `restaurant_id` says another.

    POSTs carry a fresh Idempotency-Key unless given one. `.json()` of the answer is the document.
    """

    def __init__(
        self, caller: Staff | JoinedDevice | None = None, *, restaurant_id: int | None = None
    ) -> None:
        # An address of its own: wrong tries are counted by address, and outlive a run of the tests.
        address = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"
        self.http = Client(raise_request_exception=True, REMOTE_ADDR=address)
        self.headers = {"Authorization": f"Bearer {factories.token_of(caller)}"} if caller else {}
        self.restaurant_id = restaurant_id or (caller.restaurant_id if caller else None)

    def url(self, path: str) -> str:
        return path if path.startswith("/") else f"/api/v1/restaurants/{self.restaurant_id}/{path}"

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if method == "POST":
            sent.setdefault("Idempotency-Key", str(uuid.uuid4()))
        data = body if isinstance(body, str | bytes) else "" if body is None else json.dumps(body)
        return self.http.generic(method, self.url(path), data, content_type="application/json", headers=sent)

    def get(self, path: str, **headers: str) -> Any:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.request("POST", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.request("PATCH", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Any:
        return self.request("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.request("DELETE", path, **headers)
