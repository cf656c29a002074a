from django.db import models

from fynlo.tenancy.models import TenantModel


class IdempotencyKey(TenantModel):
    """That a POST with this key was carried out, and what it answered.

    Written in the transaction of the work, so a failure leaves no key and the retry runs. `caller`
    is the device or the member; `fingerprint` is the SHA-256 (hex) of method, path and body.
    `response_body` is the JSON text that was sent.
    """

    caller = models.UUIDField()
    key = models.CharField(max_length=100)
    fingerprint = models.CharField(max_length=64)
    response_status = models.PositiveSmallIntegerField(default=0)
    response_body = models.TextField(blank=True)
    response_etag = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Tenancy:
        referenced = False

    class Meta:
        db_table = "api_idempotencykey"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "caller", "key"], name="api_idempotencykey_key")
        ]
        indexes = [models.Index(fields=["restaurant", "created_at"], name="api_idempotencykey_age")]
