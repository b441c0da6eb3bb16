from django.db import migrations, models


class Migration(migrations.Migration):
    """A subscription may have a means of payment of its own."""

    dependencies = [("billing", "0002_meter_credit_is_append_only")]

    operations = [
        migrations.AddField("customersubscription", "provider", models.CharField(blank=True, max_length=12)),
        migrations.AddField("customersubscription", "provider_customer", models.CharField(blank=True, max_length=120)),
        migrations.AddField("customersubscription", "payment_method", models.CharField(blank=True, max_length=120)),
        migrations.AddField(
            "customersubscription", "payment_method_label", models.CharField(blank=True, max_length=80)
        ),
    ]
