"""Room for scopes such as ``organization_access_tokens:write``.

The table is small (one row for each key ever made); it is rewritten in milliseconds.
"""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_api_key_is_an_abbreviation")]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), size=None),
        ),
    ]
