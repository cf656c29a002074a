from typing import Any

from rest_framework.permissions import BasePermission


class DenyAll(BasePermission):
    """The default: a view that says nothing about who may use it serves nobody."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return False
