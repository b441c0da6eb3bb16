from django.db import migrations, models


class Migration(migrations.Migration):
    """What a tier charges by the operator's meters. The default of the column itself: no row is rewritten."""

    dependencies = [("tiers", "0007_closes_of_suspended_organizations")]

    operations = [
        migrations.AddField(
            model_name="tier",
            name="metered_prices",
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
    ]
