from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Holds that callers settled are found without reading those of the gateway. Built while calls go on."""

    atomic = False
    dependencies = [("credits", "0010_what_goes_beyond_a_limit")]

    operations = [
        AddIndexConcurrently(
            model_name="hold",
            index=models.Index(
                condition=models.Q(("purpose", "api"), ("status", "settled")),
                fields=["account"],
                name="hold_api_settled",
            ),
        ),
    ]
