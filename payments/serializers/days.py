"""What the endpoints of reports and of closing a day take, and how their answers look."""

from rest_framework import serializers

from fynlo.api.serializers import ListField, StrictSerializer, TextField
from payments.day_report import BILL_OPEN, DRAWER_UNCOUNTED, PAYMENT_UNKNOWN
from payments.models import PaymentIntent, Provider
from payments.serializers.drawers import DrawerSessionSerializer
from payments.services.day import EARLIER_DAY, SIGNABLE

STANDS_OPEN = [(code, code) for code in (BILL_OPEN, PAYMENT_UNKNOWN, DRAWER_UNCOUNTED)]
SIGNED_FOR = [(code, code) for code in (BILL_OPEN, PAYMENT_UNKNOWN, DRAWER_UNCOUNTED, EARLIER_DAY)]

# In


class ReportSerializer(StrictSerializer):
    business_date = serializers.DateField(required=False, help_text="Today where left out.")


class CloseDaySerializer(StrictSerializer):
    """The closing of a day, and what of the things that stand open the manager signs for."""

    sign_for = ListField(
        child=serializers.ChoiceField(choices=SIGNABLE),
        max_length=len(SIGNABLE),
        default=list,
        help_text="The codes of what may stand open: it is carried over to the next day.",
    )
    reason = TextField(
        max_length=200,
        lines=True,
        allow_blank=True,
        default="",
        help_text="Asked for where something is signed for.",
    )


class DaysSerializer(StrictSerializer):
    cursor = serializers.CharField(required=False, help_text="From `next` or `previous` of a page.")
    page_size = serializers.IntegerField(min_value=1, max_value=200, required=False)


# Out: these describe `payments/day_report.py`, which writes the documents


class SalesRateSerializer(serializers.Serializer):
    percent = serializers.CharField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    gross_minor = serializers.IntegerField()


class SalesSerializer(serializers.Serializer):
    rates = SalesRateSerializer(many=True, help_text="By VAT rate, the highest first.")
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    gross_minor = serializers.IntegerField()
    untaxed_service_charge_minor = serializers.IntegerField(
        help_text="A service charge that could be declined: it bears no VAT."
    )
    total_minor = serializers.IntegerField()


class ReportOrdersSerializer(serializers.Serializer):
    closed = serializers.IntegerField()
    covers = serializers.IntegerField()
    voided = serializers.IntegerField()
    open = serializers.IntegerField()
    service_charge_minor = serializers.IntegerField(help_text="Of both kinds, within the sales.")
    voided_items = serializers.IntegerField()
    voided_items_minor = serializers.IntegerField()


class ReportMethodSerializer(serializers.Serializer):
    method = serializers.ChoiceField(choices=PaymentIntent.Method.choices)
    name = serializers.CharField()
    payments = serializers.IntegerField()
    amount_minor = serializers.IntegerField(help_text="Of bills, without tips.")
    tip_minor = serializers.IntegerField()
    refunds = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    tip_refunded_minor = serializers.IntegerField()


class ReportProviderSerializer(serializers.Serializer):
    provider = serializers.ChoiceField(choices=Provider.choices)
    amount_minor = serializers.IntegerField()
    tip_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    tip_refunded_minor = serializers.IntegerField()
    total_minor = serializers.IntegerField(help_text="What came in, less what went back.")


class ReportDrawerSerializer(DrawerSessionSerializer):
    """A drawer session with what moved; here what should be in it is told before it is counted."""

    expected_minor = serializers.IntegerField(help_text="Float and all that moved.")
    sale_minor = serializers.IntegerField()
    refund_minor = serializers.IntegerField(help_text="Negative, as all that went out.")
    pay_in_minor = serializers.IntegerField()
    pay_out_minor = serializers.IntegerField()
    drop_minor = serializers.IntegerField()


class ReportReceiptsSerializer(serializers.Serializer):
    first = serializers.IntegerField(allow_null=True)
    last = serializers.IntegerField(allow_null=True)
    count = serializers.IntegerField()
    total_minor = serializers.IntegerField()


class StandingOpenSerializer(serializers.Serializer):
    code = serializers.ChoiceField(choices=STANDS_OPEN)
    id = serializers.UUIDField(help_text="Of the order, attempt, refund or drawer session.")
    what = serializers.CharField()
    amount_minor = serializers.IntegerField(allow_null=True)


class ReportSellerSerializer(serializers.Serializer):
    name = serializers.CharField()
    address = serializers.CharField(allow_blank=True)
    phone = serializers.CharField(allow_blank=True)
    vat_number = serializers.CharField(allow_blank=True)


class DayReportSerializer(serializers.Serializer):
    """What a business day came to. Amounts are in minor units of `currency`."""

    business_date = serializers.DateField()
    currency = serializers.CharField()
    made_at = serializers.DateTimeField()
    is_closed = serializers.BooleanField()
    agrees_with_books = serializers.BooleanField(
        help_text="Worked out from the rows and from the books, it is the same. Otherwise no day is closed."
    )
    seller = ReportSellerSerializer()
    orders = ReportOrdersSerializer()
    sales = SalesSerializer()
    returned = SalesSerializer(help_text="Of sales that refunds took back, on the day they did.")
    methods = ReportMethodSerializer(many=True)
    providers = ReportProviderSerializer(many=True)
    drawers = ReportDrawerSerializer(many=True)
    over_short_minor = serializers.IntegerField(help_text="All drawers: negative where cash is missing.")
    receipts = ReportReceiptsSerializer(help_text="The opening and the closing number.")
    owed_minor = serializers.IntegerField(
        help_text="How much more guests owe after the day than before it: negative for what was paid ahead."
    )
    open = StandingOpenSerializer(many=True, help_text="What has to be settled or signed for.")


class OverrideSerializer(serializers.Serializer):
    what = serializers.ChoiceField(choices=SIGNED_FOR)
    detail = serializers.CharField()
    id = serializers.UUIDField(allow_null=True)
    amount_minor = serializers.IntegerField(allow_null=True)


class DayCloseSerializer(serializers.Serializer):
    """A Z report as it was made."""

    id = serializers.UUIDField()
    number = serializers.IntegerField(help_text="Without gaps in a restaurant.")
    business_date = serializers.DateField()
    closed_by = serializers.CharField()
    closed_at = serializers.DateTimeField()
    overrides = OverrideSerializer(many=True, help_text="What stood open and was signed for.")
    reason = serializers.CharField(allow_blank=True)
    report = DayReportSerializer()


class DayClosePageSerializer(serializers.Serializer):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = DayCloseSerializer(many=True)
