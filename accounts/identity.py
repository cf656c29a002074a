"""Whom a token names, and whether it still counts."""

from django.db import connection
from rest_framework.exceptions import AuthenticationFailed

from .errors import RestaurantSuspended
from .staff import JoinedDevice, Staff
from .tokens import DeviceToken, SessionToken

# One look at the database for each request, inside the restaurant's fence: an ended session, a
# revoked device and a member who left stop counting at once.
FIND_STAFF = """
    SELECT m.id, m.name, m.role, s.device_id, r.status
      FROM accounts_staffsession s
      JOIN accounts_membership m ON m.restaurant_id = s.restaurant_id AND m.id = s.membership_id
      JOIN restaurants_restaurant r ON r.id = s.restaurant_id
      LEFT JOIN accounts_device d ON d.restaurant_id = s.restaurant_id AND d.id = s.device_id
      LEFT JOIN accounts_user u ON u.id = m.user_id
     WHERE s.restaurant_id = %s AND s.id = %s AND s.ended_at IS NULL AND s.expires_at > now()
       AND m.is_active AND d.revoked_at IS NULL AND u.is_active IS NOT FALSE
"""
FIND_DEVICE = """
    SELECT d.id, d.name, d.kind, r.status
      FROM accounts_device d JOIN restaurants_restaurant r ON r.id = d.restaurant_id
     WHERE d.restaurant_id = %s AND d.token_hash = %s AND d.revoked_at IS NULL
"""


class SignInAgain(AuthenticationFailed):
    default_code = "sign_in_again"
    default_detail = "This sign-in has ended. Sign in again."


class DeviceRevoked(AuthenticationFailed):
    default_code = "device_revoked"
    default_detail = "This device is not joined to the restaurant any more."


def identify(named: SessionToken | DeviceToken) -> Staff | JoinedDevice:
    """The caller that a token names, inside that restaurant's scope.

    Raises SignInAgain, DeviceRevoked or RestaurantSuspended.
    """
    caller: Staff | JoinedDevice
    with connection.cursor() as cursor:
        if isinstance(named, SessionToken):
            cursor.execute(FIND_STAFF, [named.restaurant_id, named.session_id])
            row = cursor.fetchone()
            if row is None:
                raise SignInAgain
            membership_id, name, role, device_id, status = row
            caller = Staff(named.restaurant_id, membership_id, name, role, named.session_id, device_id)
        else:
            cursor.execute(FIND_DEVICE, [named.restaurant_id, named.token_hash])
            row = cursor.fetchone()
            if row is None:
                raise DeviceRevoked
            device_id, name, kind, status = row
            caller = JoinedDevice(named.restaurant_id, device_id, name, kind)
    if status != "active":
        raise RestaurantSuspended
    return caller
