"""Every write about people, their sign-ins and their devices."""

from .authenticators import check_code, new_authenticator, reseal_authenticators
from .devices import create_device, join_device, rename_device, renew_join_code, revoke_device
from .people import find_or_make_user, make_platform_owner, password_link, set_user_active
from .sign_in import (
    SignedIn,
    authenticate_person,
    record_lockout,
    sign_in_with_password,
    sign_in_with_pin,
    sign_in_with_supabase,
    sign_out,
)
from .team import create_membership, set_pin, update_membership

__all__ = [
    "SignedIn",
    "authenticate_person",
    "check_code",
    "create_device",
    "create_membership",
    "find_or_make_user",
    "join_device",
    "make_platform_owner",
    "new_authenticator",
    "password_link",
    "record_lockout",
    "rename_device",
    "renew_join_code",
    "reseal_authenticators",
    "revoke_device",
    "set_pin",
    "set_user_active",
    "sign_in_with_password",
    "sign_in_with_pin",
    "sign_in_with_supabase",
    "sign_out",
    "update_membership",
]
