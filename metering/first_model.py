"""Which model a first call should use: one that the organization's tier includes."""

from uuid import UUID

from django.utils import timezone

from accounts.first_call import MODEL
from metering.price_book import card_for, listed_models
from tiers.errors import NoTier
from tiers.querysets import terms_for

# Small, well known, and free variants for tiers that include nothing else.
_PREFERRED = (MODEL, "meta-llama/llama-3.3-70b-instruct:free", "openai/gpt-oss-20b:free", "google/gemma-3-27b-it:free")


def first_model(organization_id: UUID) -> str:
    """The id of a priced model that the organization may call; the usual one when there is none."""
    try:
        terms = terms_for(organization_id)
    except NoTier:
        return MODEL
    now = timezone.now()
    others = (model.id for model in listed_models())
    for model_id in (*_PREFERRED, *others):
        price = card_for(model_id, now)
        if price is not None and terms.may_use_model(model_id, is_free=price.is_free):
            return model_id
    return MODEL
