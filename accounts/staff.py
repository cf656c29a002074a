"""Who is calling: a member of staff, or a device nobody has signed in on."""

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from .models import Role


@dataclass(frozen=True, slots=True)
class Staff:
    """A signed-in member of one restaurant. Services take it as `by`."""

    is_authenticated: ClassVar[bool] = True

    restaurant_id: int
    membership_id: UUID
    name: str
    role: str
    session_id: UUID | None = None
    device_id: UUID | None = None

    @property
    def caller_id(self) -> UUID:
        """Whose Idempotency-Keys these are: the device's where there is one."""
        return self.device_id or self.membership_id

    @property
    def actor(self) -> dict[str, Any]:
        """Who, as an event records it."""
        return {
            "membership": str(self.membership_id),
            "name": self.name,
            "device": str(self.device_id) if self.device_id else None,
        }

    def has_role(self, *roles: Role) -> bool:
        return self.role in roles


@dataclass(frozen=True, slots=True)
class JoinedDevice:
    """A trusted till or kitchen screen, by its own token."""

    is_authenticated: ClassVar[bool] = True

    restaurant_id: int
    device_id: UUID
    name: str
    kind: str

    @property
    def caller_id(self) -> UUID:
        return self.device_id

    @property
    def actor(self) -> dict[str, Any]:
        return {"membership": None, "name": self.name, "device": str(self.device_id)}
