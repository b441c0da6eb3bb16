"""Who collects from a merchant's customers."""

from uuid import UUID

from accounts.models import Mode, Organization
from payments.charging import charger_name_for


def provider_for(organization_id: UUID) -> str:
    """The name of the adapter in ``payments.charging``."""
    mode = Organization.objects.values_list("mode", flat=True).get(pk=organization_id)
    return charger_name_for(is_test=mode == Mode.TEST)
