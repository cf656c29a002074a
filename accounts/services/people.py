"""People across all restaurants: the platform owner's matters."""

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.errors import OwnersKeepTheirPasswords, Yourself
from accounts.models import Authenticator, User

from .authenticators import new_authenticator


@transaction.atomic
def find_or_make_user(email: str, name: str = "") -> User:
    """The user with this address, made without a usable password where there is none yet."""
    found = User.objects.filter(email_lower=email.strip().lower()).first()
    return found or User.objects.create_user(email, name=name)


def password_link(user: User) -> str:
    """An address by which the person sets a password: good once, and for PASSWORD_RESET_TIMEOUT.

    Only the platform gives these out. A restaurant that could would own whoever it invites first, in
    every restaurant that invites them later. Raises OwnersKeepTheirPasswords.
    """
    if user.is_superuser:
        raise OwnersKeepTheirPasswords
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return f"{settings.BASE_URL}/set-password/{uid}/{default_token_generator.make_token(user)}"


@transaction.atomic
def set_user_active(user_id: int, *, is_active: bool, by: User) -> User:
    """Let a person sign in nowhere, or everywhere again; what they are signed in to ends. Raises Yourself."""
    if user_id == by.pk:
        raise Yourself
    user = User.objects.select_for_update().get(pk=user_id)
    user.is_active = is_active
    user.save(update_fields=["is_active"])
    return user


@transaction.atomic
def make_platform_owner(
    email: str, *, password: str = "", new_device: bool = False
) -> tuple[User, Authenticator]:
    """Make a person a platform owner, with the second factor that they sign in by.

    Without a password they keep theirs. A new second factor replaces the old ones.
    """
    user = find_or_make_user(email)
    user.is_superuser = user.is_staff = user.is_active = True
    if password:
        user.set_password(password)
    user.save(update_fields=["is_superuser", "is_staff", "is_active", "password"])
    if new_device:
        Authenticator.objects.filter(user=user).delete()
    device = Authenticator.objects.filter(user=user, confirmed=True).first()
    return user, device or new_authenticator(user)
