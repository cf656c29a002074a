"""Members and devices as events show them: no secret and no address."""

from typing import Any

from .models import Device, Membership


def staff_payload(membership: Membership) -> dict[str, Any]:
    return {
        "id": membership.pk,
        "name": membership.name,
        "role": membership.role,
        "is_active": membership.is_active,
    }


def device_payload(device: Device) -> dict[str, Any]:
    return {"id": device.pk, "name": device.name, "kind": device.kind, "joined_at": device.joined_at}
