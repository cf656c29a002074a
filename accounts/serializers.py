"""What goes in and out over the API about people and devices."""

from typing import Any

from rest_framework import serializers

from fynlo.api.fields import ExactCharField
from fynlo.api.serializers import TextField

from .models import Device, Membership, Role
from .permissions import manages

NAME = 60


class _Pin(serializers.RegexField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"^[0-9]{4,8}\Z", **kwargs, write_only=True, trim_whitespace=False)
        self.error_messages["invalid"] = "A PIN has 4 to 8 digits and is sent as text."

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):  # 0123 would lose its zero
            self.fail("invalid")
        return super().to_internal_value(data)


# Signing in


class PasswordSignInSerializer(serializers.Serializer):
    email = serializers.EmailField(max_length=254, help_text="The person's e-mail address, in any case.")
    password = ExactCharField(max_length=1000, write_only=True, help_text="The person's password.")
    restaurant_id = serializers.IntegerField(
        min_value=1,
        max_value=999_999_999,
        required=False,
        help_text="Which restaurant to sign in to; may be left out by whoever works in only one.",
    )


class SupabaseSignInSerializer(serializers.Serializer):
    access_token = ExactCharField(
        max_length=8000, write_only=True, help_text="The access token of the person's session at Supabase."
    )
    restaurant_id = serializers.IntegerField(
        min_value=1,
        max_value=999_999_999,
        required=False,
        help_text="Which restaurant to sign in to; may be left out by whoever works in only one.",
    )


class PinSignInSerializer(serializers.Serializer):
    membership_id = serializers.UUIDField(help_text="The member, by the id in the list of staff.")
    pin = _Pin(help_text="The member's PIN, 4 to 8 digits.")


class MemberSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="The member's id.")
    name = serializers.CharField(help_text="The name on tickets and receipts.")
    role = serializers.ChoiceField(Role.choices, help_text="What the member may do.")


class RestaurantNameSerializer(serializers.Serializer):
    id = serializers.IntegerField(help_text="The restaurant's id, as in its URLs.")
    name = serializers.CharField(help_text="The restaurant's name.")


class SignedInRestaurantSerializer(RestaurantNameSerializer):
    id = serializers.IntegerField(source="restaurant_id", help_text="The restaurant's id, as in its URLs.")
    name = serializers.CharField(source="restaurant_name", help_text="The restaurant's name.")


class SignedInMemberSerializer(MemberSerializer):
    id = serializers.UUIDField(source="membership_id", help_text="The member's id.")


class SignedInSerializer(serializers.Serializer):
    token = serializers.CharField(help_text="Send it as `Authorization: Bearer <token>`.")
    expires_at = serializers.DateTimeField(help_text="When the token stops counting, if not before.")
    restaurant = SignedInRestaurantSerializer(source="*", help_text="Where.")
    staff = SignedInMemberSerializer(help_text="Who.")


class DeviceNameSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="The device's id.")
    name = serializers.CharField(help_text="The device's name.")
    kind = serializers.ChoiceField(Device.Kind.choices, help_text="A till, or a kitchen screen.")


class MeRestaurantSerializer(RestaurantNameSerializer):
    currency = serializers.CharField(help_text="ISO 4217 code; all money is in its minor units.")
    timezone = serializers.CharField(help_text="Time zone of the restaurant, such as Europe/London.")
    business_day_cutoff = serializers.TimeField(help_text="Local time at which the business day ends.")


class MeSerializer(serializers.Serializer):
    staff = MemberSerializer(allow_null=True, help_text="Who is signed in; null for a device on its own.")
    device = DeviceNameSerializer(allow_null=True, help_text="The device, if this is one.")
    restaurant = MeRestaurantSerializer(help_text="The restaurant that the token is for.")


# The team


class StaffSerializer(serializers.ModelSerializer):
    email = serializers.SerializerMethodField(
        help_text="The address the member signs in with; null where there is none, or unless you manage."
    )
    has_pin = serializers.SerializerMethodField(help_text="Whether the member can sign in on a device.")

    class Meta:
        model = Membership
        fields = ["id", "name", "role", "is_active", "has_pin", "email"]
        read_only_fields = fields
        extra_kwargs = {
            "id": {"help_text": "The member's id."},
            "name": {"help_text": "The name on tickets and receipts."},
            "role": {"help_text": "What the member may do."},
            "is_active": {"help_text": "Whether the member still works here."},
        }

    def get_email(self, membership: Membership) -> str | None:
        shown = membership.user and manages(self.context["request"].user)
        return membership.user.email if membership.user and shown else None

    def get_has_pin(self, membership: Membership) -> bool:
        return bool(membership.pin_hash)


class CreateStaffSerializer(serializers.Serializer):
    name = TextField(max_length=NAME, help_text="The name on tickets and receipts, unique in the team.")
    role = serializers.ChoiceField(Role.choices, help_text="What the member may do.")
    email = serializers.EmailField(
        max_length=254,
        required=False,
        help_text="For whoever signs in with a password. A new person has none until the platform sets it.",
    )


class ChangeStaffSerializer(serializers.Serializer):
    name = TextField(max_length=NAME, required=False, help_text="The new name.")
    role = serializers.ChoiceField(Role.choices, required=False, help_text="The new role.")
    is_active = serializers.BooleanField(required=False, help_text="False signs the member out at once.")
    email = serializers.EmailField(
        max_length=254, required=False, help_text="An address for a member who has none yet."
    )


class SetPinSerializer(serializers.Serializer):
    pin = _Pin(help_text="The new PIN, 4 to 8 digits, not easily guessed.")
    current_pin = _Pin(required=False, help_text="One's own present PIN, to change one's own.")


# Devices


class DeviceSerializer(serializers.ModelSerializer):
    class Meta:
        model = Device
        fields = ["id", "name", "kind", "created_at", "joined_at", "last_seen_at", "revoked_at"]
        read_only_fields = fields
        extra_kwargs = {
            "id": {"help_text": "The device's id."},
            "name": {"help_text": "The device's name, unique in the restaurant."},
            "kind": {"help_text": "A till, or a kitchen screen."},
            "created_at": {"help_text": "When a manager made it."},
            "joined_at": {"help_text": "When its code was last used; null before that."},
            "last_seen_at": {"help_text": "When it joined, or somebody last signed in on it by PIN."},
            "revoked_at": {"help_text": "Since when it is not trusted any more; null if it is."},
        }


class CreateDeviceSerializer(serializers.Serializer):
    name = TextField(max_length=NAME, help_text="A name of its own, such as Bar till.")
    kind = serializers.ChoiceField(Device.Kind.choices, help_text="A till, or a kitchen screen.")


class RenameDeviceSerializer(serializers.Serializer):
    name = TextField(max_length=NAME, help_text="The new name.")


class JoinCodeSerializer(serializers.Serializer):
    device = DeviceSerializer(help_text="The device that the code is for.")
    join_code = serializers.CharField(help_text="Type it on the device. Works once; shown only now.")
    expires_at = serializers.DateTimeField(
        source="device.join_code_expires_at", help_text="When the code lapses."
    )


class JoinDeviceSerializer(serializers.Serializer):
    code = ExactCharField(
        max_length=40, write_only=True, help_text="The code, in any case, with or without spaces and hyphens."
    )


class JoinedSerializer(serializers.Serializer):
    token = serializers.CharField(help_text="The device's token; shown only now.")
    device = DeviceNameSerializer(help_text="What it joined as.")
    restaurant = RestaurantNameSerializer(source="device.restaurant", help_text="What it joined.")
