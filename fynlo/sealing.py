"""Secrets that must be read again, sealed in the database: a stolen dump opens none of them.

Fernet has no associated data, so the sealed text itself says whose it is; a copy in another row does
not open.
"""

import json
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """This cannot be opened: the key is gone, or it was sealed for somebody else."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Seals with the first of the keys in a setting, and opens with whichever of them sealed."""

    setting: str
    variable: str  # where the keys come from, for whoever reads the error

    def seal(self, secret: Any, *, owner: dict[str, Any]) -> str:
        """`secret` is any JSON; `owner` says whose it is."""
        return self._box().encrypt(json.dumps({**owner, "secrets": secret}).encode()).decode()

    def unseal(self, sealed: str, *, owner: dict[str, Any]) -> Any:
        """Raises SealBroken."""
        try:
            content = json.loads(self._box().decrypt(sealed.encode()))
        except InvalidToken as error:
            raise SealBroken(f"None of {self.variable} opens this.") from error
        secret = content.pop("secrets")
        if content != owner:
            raise SealBroken("This was sealed for another owner.")
        return secret

    def reseal(self, sealed: str) -> str:
        """The same, sealed with the first of the keys. Raises SealBroken."""
        try:
            return self._box().rotate(sealed.encode()).decode()
        except InvalidToken as error:
            raise SealBroken(f"None of {self.variable} opens this.") from error

    def is_current(self, sealed: str) -> bool:
        """Whether the first of the keys opens it."""
        try:
            Fernet(self._keys()[0]).decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def _keys(self) -> list[str]:
        return list(getattr(settings, self.setting))

    def _box(self) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in self._keys()])
