"""People, what they may do in a restaurant, and the devices they do it on."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models.functions import Lower
from django_otp.plugins.otp_totp.models import TOTPDevice

from fynlo.tenancy.models import TenantForeignKey, TenantModel

from .seal import unseal_seed


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email_lower=(username or "").lower())

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person with an e-mail address and a password, across all restaurants.

    `is_superuser` marks a platform owner; it means nothing in the restaurants' back office, where
    only a Membership counts. The address is kept as typed and unique whatever its case.
    """

    id = models.AutoField(primary_key=True)
    email = models.EmailField(unique=True)
    email_lower = models.GeneratedField(
        expression=Lower("email"), output_field=models.EmailField(), db_persist=True, unique=True
    )
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False, help_text="May sign in to the platform console.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "accounts_user"

    def __str__(self) -> str:
        return self.name or self.email

    def clean(self) -> None:
        self.email = self.email.strip()


class Authenticator(TOTPDevice):
    """The app that shows a platform owner's codes. `key` is its seed, sealed for that owner (see seal.py)."""

    class Meta:
        proxy = True

    @property
    def bin_key(self) -> bytes:
        """The seed. Raises SealBroken."""
        return bytes.fromhex(unseal_seed(self.key, self.user_id))


class Role(models.TextChoices):
    """What a member may do, from most to least; each restaurant decides for itself."""

    OWNER = "owner", "Owner"
    MANAGER = "manager", "Manager"
    WAITER = "waiter", "Waiter"
    KITCHEN = "kitchen", "Kitchen"


class Membership(TenantModel):
    """A person's place in one restaurant's team.

    Staff who only ever tap a PIN on a till have no user. `pin_hash` is a Django password hash, empty
    where no PIN is set. The name is the one on tickets and receipts.
    """

    user = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="memberships")
    name = models.CharField(max_length=60, validators=[MinLengthValidator(1)])
    role = models.CharField(max_length=10, choices=Role)
    pin_hash = models.CharField(max_length=160, blank=True, editable=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "accounts_membership"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "user"], name="accounts_membership_user"),
            models.UniqueConstraint(fields=["restaurant", "name"], name="accounts_membership_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Device(TenantModel):
    """A till or a kitchen screen, joined by a one-time code and trusted until it is revoked.

    Only hashes (SHA-256, hex) of the code and of the token are kept. The code is single-use and
    lapses at `join_code_expires_at`.
    """

    class Kind(models.TextChoices):
        TILL = "till", "Till"
        KITCHEN = "kitchen", "Kitchen screen"

    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.TILL)
    join_code_hash = models.CharField(max_length=64, blank=True, editable=False)
    join_code_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    token_hash = models.CharField(max_length=64, blank=True, editable=False)
    joined_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "accounts_device"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "name"], name="accounts_device_name"),
        ]
        indexes = [models.Index(fields=["restaurant", "token_hash"], name="accounts_device_token")]

    def __str__(self) -> str:
        return self.name


class StaffSession(TenantModel):
    """One sign-in of one member, by password (no device) or by PIN on a joined device.

    Tokens name it, so that ending it, revoking its device or deactivating the member works at once.
    """

    membership = TenantForeignKey(Membership, models.PROTECT, related_name="sessions")
    device = TenantForeignKey(Device, models.PROTECT, null=True, blank=True, related_name="sessions")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "accounts_staffsession"
