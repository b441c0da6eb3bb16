from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """The front page of the back office counts refunds that failed. Built while payments go on."""

    atomic = False
    dependencies = [("payments", "0006_refunds_that_fail")]

    operations = [
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("failure_code", "refund_failed")), fields=["ended_at"], name="payment_refund_failed"
            ),
        ),
    ]
