import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What merchants call their events."""

    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
        ("billing", "0004_refunds_of_orders"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventLabel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("label", models.CharField(max_length=128)),
                ("selector", models.CharField(blank=True, max_length=200)),
                ("modified_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("organization", "name"), name="event_label_once")],
            },
        ),
    ]
