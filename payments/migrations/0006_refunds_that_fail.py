from decimal import Decimal

from django.db import migrations, models

import core.money


class Migration(migrations.Migration):
    """What is needed to take a refund back that the provider could not make. Constant defaults: no row is rewritten."""

    dependencies = [("payments", "0005_pauses_by_disputes")]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="credits_refunded",
            field=core.money.MoneyField(db_default=Decimal(0), default=Decimal(0)),
        ),
        migrations.AddField(
            model_name="payment",
            name="failed_refunds",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
