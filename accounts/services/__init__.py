"""Every write about people, their sign-ins and their devices."""

from .devices import create_device, join_device, rename_device, renew_join_code, revoke_device
from .sign_in import (
    SignedIn,
    authenticate_person,
    record_lockout,
    sign_in_with_password,
    sign_in_with_pin,
    sign_out,
)
from .team import create_membership, set_pin, update_membership

__all__ = [
    "SignedIn",
    "authenticate_person",
    "create_device",
    "create_membership",
    "join_device",
    "record_lockout",
    "rename_device",
    "renew_join_code",
    "revoke_device",
    "set_pin",
    "sign_in_with_password",
    "sign_in_with_pin",
    "sign_out",
    "update_membership",
]
