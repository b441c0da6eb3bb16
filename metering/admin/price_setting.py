"""Setting a price: filled in, shown beside what holds now, then confirmed."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import AdminForm
from django.contrib.admin.utils import quote
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from accounts.operators import operator
from core.errors import DomainError
from metering.admin.price_form import COMMON, OTHER, STRUCTURED, NewModelForm, PriceForm
from metering.models import LanguageModel, ModelPrice
from metering.price_words import changes_between, conditions_of
from metering.prices import PriceCard
from metering.services.price_book import set_price

_TEMPLATE = "admin/metering/languagemodel/price_form.html"


def price_page(site: ModelAdmin, request: HttpRequest, model: LanguageModel | None) -> HttpResponse:
    """The form for ``model``, or for one that the catalogue does not know; sets the price once it is confirmed."""
    current = _card_now(model, timezone.now())
    form_class = PriceForm if model else NewModelForm
    form = form_class(request.POST or None, current=current)
    if form.is_confirmed and (row := _set(site, request, model, form)):
        messages.success(request, f"{row.model_id}: the price is set.")
        return HttpResponseRedirect(model_page(row.model_id))
    context = {
        **site.admin_site.each_context(request),
        "title": "Set a price" if model else "Add a model and its price",
        "opts": site.opts,
        "original": model,
        "model_page": model_page(model.id) if model else "",
        "form": form,
        "adminform": AdminForm(form, _fieldsets(model), {}, model_admin=site),  # type: ignore[arg-type]
        "media": site.media,
        **_preview(form, model, current),
    }
    return render(request, _TEMPLATE, context)


def model_page(model_id: str) -> str:
    """Where a model's prices are shown."""
    return reverse("admin:metering_languagemodel_change", args=[quote(model_id)])


def _set(site: ModelAdmin, request: HttpRequest, model: LanguageModel | None, form: PriceForm) -> ModelPrice | None:
    """The new row, written with its entry in the operator's log; None when it was refused, which the form tells."""
    now, values = timezone.now(), form.cleaned_data
    try:
        with transaction.atomic():
            row = set_price(
                model_id=model.id if model else values["model_id"],
                name=values.get("name", ""),
                pricing=values["card"].to_json(),
                effective_from=values["effective_from"] or now,
                note=values["note"],
                actor=operator(request),
                at=now,
            )
            log = site.log_change if model else site.log_addition
            log(request, row.model, f"Set the price from {row.effective_from:%Y-%m-%d %H:%M} UTC: {row.note}")
    except DomainError as refusal:
        form.add_error(None, refusal.detail)
        return None
    return row


def _card_now(model: LanguageModel | None, at: datetime) -> PriceCard | None:
    row = model.prices.holding(at).first() if model else None
    return PriceCard.from_json(row.pricing) if row else None


def _preview(form: PriceForm, model: LanguageModel | None, current: PriceCard | None) -> dict[str, Any]:
    """What would change, once the form is right."""
    if not form.is_bound or not form.is_valid():
        return {}
    card, start = form.cleaned_data["card"], form.cleaned_data["effective_from"] or timezone.now()
    later = model.prices.filter(effective_from__gt=start).order_by("effective_from").first() if model else None
    return {
        "changes": changes_between(current, card),
        "conditions": conditions_of(card),
        "was_conditional": bool(current and current.overrides),
        "discount": card.discount * 100,
        "is_free": card.is_free(),
        "later": later,
        "digest": form.digest(),
    }


def _fieldsets(model: LanguageModel | None) -> list[tuple[str | None, dict[str, Any]]]:
    who = [] if model else [(None, {"fields": ["model_id", "name"]})]
    return [
        *who,
        ("When and why", {"fields": ["effective_from", "note"]}),
        ("Prices in USD", {"fields": list(COMMON)}),
        ("Other prices", {"fields": list(OTHER), "classes": ["collapse"]}),
        ("Conditions and discounts", {"fields": list(STRUCTURED), "classes": ["collapse"]}),
    ]
