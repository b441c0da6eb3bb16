"""E-mails may have headers of their own and a file. Columns without a value: no row is rewritten."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0005_notices"),
    ]

    operations = [
        migrations.AddField("emaildelivery", "headers", models.JSONField(null=True)),
        migrations.AddField("emaildelivery", "attachment", models.CharField(max_length=120, null=True)),
    ]
