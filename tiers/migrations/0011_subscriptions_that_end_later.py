from django.db import migrations, models


class Migration(migrations.Migration):
    """The period that a subscription ends with, where it is not the running one. Nullable: no row is rewritten."""

    dependencies = [("tiers", "0010_moves_to_newer_versions")]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="last_period",
            field=models.IntegerField(blank=True, null=True),
        ),
    ]
