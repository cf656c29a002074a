"""Payment accounts, readers and issues: what their endpoints take, and how their answers look."""

from rest_framework import serializers

from fynlo.api.serializers import StrictSerializer, TextField
from payments.models import PaymentIntent, ProviderAccount, ReconciliationIssue

from .tenders import CARD_PROVIDERS

# In


class AddAccountSerializer(StrictSerializer):
    """A provider's account, by the restaurant's own keys."""

    provider = serializers.ChoiceField(choices=CARD_PROVIDERS)
    secrets = serializers.DictField(
        help_text="stripe: secret_key, publishable_key, webhook_secrets. square: access_token,"
        " webhook_signature_keys. sumup: api_key, affiliate_key, app_id, webhook_secrets."
    )
    external_account_id = serializers.CharField(max_length=80, default="", allow_blank=True)
    location_id = serializers.CharField(max_length=80, default="", allow_blank=True)
    priority = serializers.IntegerField(min_value=0, max_value=100, default=0)


class ReplaceCredentialsSerializer(StrictSerializer):
    secrets = serializers.DictField()


class ConnectStripeSerializer(StrictSerializer):
    country = serializers.RegexField(r"^[A-Z]{2}$", help_text="ISO 3166: GB.")
    email = serializers.EmailField(max_length=254)


class IssueFilterSerializer(StrictSerializer):
    open = serializers.BooleanField(required=False)
    cursor = serializers.CharField(required=False, help_text="From `next` or `previous` of a page.")
    page_size = serializers.IntegerField(min_value=1, max_value=200, required=False)


class SettleIssueSerializer(StrictSerializer):
    resolution = TextField(max_length=300, lines=True, help_text="How it was settled.")


# Out


class TerminalSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    provider = serializers.CharField()
    is_online = serializers.BooleanField()


class PaymentOptionsSerializer(serializers.Serializer):
    """What a till can offer a guest now."""

    methods = serializers.ListField(child=serializers.ChoiceField(choices=PaymentIntent.Method.choices))
    terminals = TerminalSerializer(many=True)
    publishable_key = serializers.CharField(
        allow_null=True, help_text="Of the account that card_online goes to first, for Stripe's own form."
    )


class AccountSerializer(serializers.Serializer):
    """A payment account. Of its credentials nothing is shown but the last four characters."""

    id = serializers.UUIDField()
    provider = serializers.CharField()
    connection = serializers.ChoiceField(choices=ProviderAccount.Kind.choices)
    mode = serializers.ChoiceField(choices=ProviderAccount.Mode.choices)
    account_status = serializers.ChoiceField(choices=ProviderAccount.Status.choices)
    status_detail = serializers.CharField(allow_blank=True)
    external_account_id = serializers.CharField(allow_blank=True)
    key_hint = serializers.CharField(allow_blank=True)
    priority = serializers.IntegerField()
    webhook_url = serializers.URLField(help_text="What to enter at the provider.")
    terminals = TerminalSerializer(many=True)


class AccountsSerializer(serializers.Serializer):
    results = AccountSerializer(many=True)


class OnboardingSerializer(serializers.Serializer):
    account = AccountSerializer()
    url = serializers.URLField(help_text="Stripe's own page for the owner; it opens once.")


class ConsentSerializer(serializers.Serializer):
    url = serializers.URLField(
        help_text="Square's own page, good for a quarter of an hour; sign in to the back office before."
    )


class IssueSerializer(serializers.Serializer):
    """Something about money that a person decides."""

    id = serializers.UUIDField()
    about = serializers.ChoiceField(choices=ReconciliationIssue.Kind.choices)
    subject = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)
    order_id = serializers.UUIDField(allow_null=True)
    payment_id = serializers.UUIDField(allow_null=True)
    refund_id = serializers.UUIDField(allow_null=True)
    ours_minor = serializers.IntegerField(allow_null=True)
    theirs_minor = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField(allow_blank=True)
    found_at = serializers.DateTimeField()
    resolved_at = serializers.DateTimeField(allow_null=True)
    resolution = serializers.CharField(allow_blank=True)


class IssuePageSerializer(serializers.Serializer):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = IssueSerializer(many=True)
