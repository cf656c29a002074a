from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0006_guard_splits")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="is_split",
            field=models.BooleanField(default=False, editable=False),
        ),
    ]
