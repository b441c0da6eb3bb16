import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0001_domain_events"),
    ]

    operations = [
        migrations.AddField(
            model_name="domainevent",
            name="retry_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="domainevent",
            name="handled_by",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=120), null=True, size=None
            ),
        ),
    ]
