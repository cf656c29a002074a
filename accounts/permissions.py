"""Who may use a view."""

from typing import Any

from rest_framework.permissions import BasePermission

from .models import Role
from .staff import JoinedDevice, Staff


def manages(caller: Any) -> bool:
    return isinstance(caller, Staff) and caller.has_role(Role.MANAGER, Role.OWNER)


class IsStaff(BasePermission):
    """A member has signed in, of whatever role."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return isinstance(request.user, Staff)


class ServesGuests(IsStaff):
    """Those who take orders and money: waiters, managers, owners."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return super().has_permission(request, view) and request.user.has_role(
            Role.WAITER, Role.MANAGER, Role.OWNER
        )


class Manages(IsStaff):
    """Managers and owners."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return manages(request.user)


class IsDevice(BasePermission):
    """A joined device on its own: a till on which somebody is about to sign in, a kitchen screen."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return isinstance(request.user, JoinedDevice)


class IsStaffOrDevice(BasePermission):
    """A signed-in member, or a joined device on its own (a kitchen screen, a till before sign-in)."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return isinstance(request.user, Staff | JoinedDevice)
