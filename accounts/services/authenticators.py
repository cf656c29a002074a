"""Platform owners' second factors."""

import logging
import secrets
from typing import Any

from django.db import transaction

from accounts.models import Authenticator, User
from accounts.seal import is_current, reseal, seal_seed
from fynlo.sealing import SealBroken

logger = logging.getLogger(__name__)

SEED_BYTES = 20  # 160 bits, as RFC 4226 recommends


def new_authenticator(user: User, name: str = "Authenticator") -> Authenticator:
    key = seal_seed(secrets.token_hex(SEED_BYTES), user.pk)
    device: Authenticator = Authenticator.objects.create(user=user, name=name, confirmed=True, key=key)
    return device


@transaction.atomic
def check_code(user: User, code: str) -> Authenticator | None:
    """The owner's authenticator that shows this code now. A code serves once; wrong ones cost time."""
    for device in Authenticator.objects.select_for_update().filter(user=user, confirmed=True):
        try:
            if device.verify_token(code):
                return device
        except SealBroken as error:
            logger.error("Authenticator %s cannot be opened: %s", device.pk, error)
    return None


@transaction.atomic
def reseal_authenticators() -> dict[str, Any]:
    """Seal every seed with the first of the keys. How many were, how many are, and which no key opens."""
    outcome: dict[str, Any] = {"sealed": 0, "current": 0, "broken": []}
    for device in Authenticator.objects.select_for_update().order_by("pk"):
        if is_current(device.key):
            outcome["current"] += 1
            continue
        try:
            device.key = reseal(device.key)
        except SealBroken:
            outcome["broken"].append(device.pk)
            continue
        device.save(update_fields=["key"])
        outcome["sealed"] += 1
    return outcome
