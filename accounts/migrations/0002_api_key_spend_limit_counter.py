from django.db import migrations, models

import core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_people_organizations_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="spend_limit_id",
            field=models.UUIDField(default=core.ids.uuid7, editable=False),
        ),
        # A column default is evaluated once for all rows that exist: give each its own counter again.
        migrations.RunSQL("UPDATE accounts_apikey SET spend_limit_id = id", migrations.RunSQL.noop),
    ]
