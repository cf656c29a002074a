"""Refusals about people and devices."""

from math import ceil
from uuid import UUID

from fynlo.errors import DomainError, InvalidInput, NotAllowed


class SignInFailed(DomainError):
    """Deliberately says nothing about which part was wrong, or whether there is such an account."""

    status = 401
    code = "sign_in_failed"
    detail = "The e-mail address or the password is not right."


class SupabaseAway(DomainError):
    status = 503
    code = "supabase_away"
    detail = "Supabase does not answer just now; try again, or sign in with a password."
    retry_after = 5


class WrongPin(DomainError):
    """Not a 401: the till that asks is known, and must not forget its own token over a wrong PIN."""

    status = 403
    code = "wrong_pin"
    detail = "The name or the PIN is not right."


class WrongCurrentPin(InvalidInput):
    code = "wrong_pin"
    detail = "The current PIN is not right."

    def __init__(self) -> None:
        super().__init__(field="current_pin")


class NotMyPin(NotAllowed):
    detail = "Only a manager or an owner may set somebody else's PIN."


class LockedOut(DomainError):
    """Too many wrong tries. `has_just_begun` is true of the try that used up the last chance.

    `membership_id` is then whose PIN it was, if one's, for `record_lockout`.
    """

    status = 429
    code = "locked_out"

    def __init__(self, retry_after: int, *, has_just_begun: bool = False) -> None:
        self.retry_after = retry_after
        self.has_just_begun = has_just_begun
        self.membership_id: UUID | None = None
        minutes = ceil(retry_after / 60)
        super().__init__(f"Too many wrong tries. Try again in {minutes} minute{'s' if minutes > 1 else ''}.")


class RestaurantRequired(DomainError):
    code = "restaurant_required"
    detail = "You work in several restaurants: send the restaurant_id of one of them."


class NotAMember(NotAllowed):
    code = "not_a_member"
    detail = "You are not a member of this restaurant's team."


class RestaurantSuspended(NotAllowed):
    code = "restaurant_suspended"
    detail = "This restaurant is suspended. Ask the platform's owner."


class WrongCode(InvalidInput):
    code = "wrong_code"
    detail = "This code is wrong, used or out of date. Ask a manager for a new one."

    def __init__(self) -> None:
        super().__init__(field="code")


class NameTaken(DomainError):
    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"The name {name} is taken in this restaurant.", field="name")


class AlreadyAMember(DomainError):
    code = "already_a_member"
    detail = "The person with this e-mail address is in the team already."

    def __init__(self) -> None:
        super().__init__(field="email")


class EmailIsSet(DomainError):
    code = "email_is_set"
    detail = "This member signs in with another e-mail address already."

    def __init__(self) -> None:
        super().__init__(field="email")


class OnlyOwners(NotAllowed):
    code = "only_owners"
    detail = "Only an owner may make or change an owner."


class LastOwner(DomainError):
    code = "last_owner"
    detail = "A restaurant keeps at least one active owner."


class PinTooEasy(InvalidInput):
    code = "pin_too_easy"
    detail = "This PIN is too easy to guess. Choose one that does not repeat or run like 0000 or 1234."

    def __init__(self) -> None:
        super().__init__(field="pin")


class Yourself(NotAllowed):
    detail = "Not yourself: ask another platform owner."


class OwnersKeepTheirPasswords(NotAllowed):
    detail = "A platform owner's password is set with manage.py platform_owner."
