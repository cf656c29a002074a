from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0012_protect_application_fee"),
    ]

    operations = [
        migrations.AddField(
            model_name="paymentintent",
            name="taken_offline_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="reconciliationissue",
            name="kind",
            field=models.CharField(
                choices=[
                    ("overpaid", "More was taken than the bill comes to"),
                    ("amount_differs", "Another amount than was asked for"),
                    ("ours_only", "In our books only"),
                    ("theirs_only", "Money without a bill"),
                    ("bill_without_money", "A bill without its money"),
                    ("unknown_too_long", "Nobody knows what became of it"),
                    ("fee_differs", "Another fee than was expected"),
                    ("refund_failed", "A refund came back"),
                    ("external_refund", "Refunded at the provider"),
                    ("payout_differs", "A payout is not the sum of its lines"),
                    ("dispute", "A guest's bank asks for it back"),
                    ("cash_without_drawer", "Cash that no open drawer holds"),
                ],
                max_length=20,
            ),
        ),
    ]
