"""Pages of the prompt lab: a draft with its price while it is typed, and what it has cost once it ran."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.page_tickets import LIFETIME, issue_ticket
from accounts.pages import PageRequest, organization_page, place_of
from accounts.scopes import Scope
from core.errors import DomainError
from metering.estimates.estimating import estimate_call
from metering.first_model import first_model
from metering.lab import (
    DEFAULT_ANSWER,
    LONGEST_ANSWER,
    Draft,
    choices_for,
    estimate_facts,
    outcome_of,
    usual_model,
)
from tiers.errors import NoTier
from tiers.querysets import terms_for

_LONGEST_PROMPT = 200_000


class LabForm(forms.Form):
    """A prompt to try."""

    model = forms.CharField(max_length=160)
    system = forms.CharField(
        required=False,
        max_length=_LONGEST_PROMPT,
        strip=False,
        label=_("System prompt"),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    prompt = forms.CharField(
        max_length=_LONGEST_PROMPT, strip=False, label=_("Prompt"), widget=forms.Textarea(attrs={"rows": 9})
    )
    max_tokens = forms.IntegerField(
        min_value=1,
        max_value=LONGEST_ANSWER,
        initial=DEFAULT_ANSWER,
        label=_("Longest answer"),
        help_text=_("In tokens; a token is about three quarters of a word."),
    )

    def draft(self) -> Draft:
        """The valid form."""
        return Draft(**self.cleaned_data)


@require_http_methods(["GET", "POST"])
@never_cache
@organization_page(Scope.GATEWAY)
def lab(request: PageRequest) -> HttpResponse:
    """The whole page; posted, with the estimate of what was typed, for browsers without scripts."""
    form = LabForm(request.POST or None)
    try:
        groups = choices_for(terms_for(request.organization.id), timezone.now())
    except NoTier:
        groups = []
    wanted = request.POST.get("model") or request.GET.get("model", "")
    context: dict[str, Any] = {
        "form": form,
        "groups": groups,
        "chosen": usual_model(groups, wanted, first_model(request.organization.id)),
    }
    if request.method == "POST":
        context |= _estimated(request, form)
    return render(request, "metering/lab.html", context)


@require_POST
@organization_page(Scope.GATEWAY)
def lab_estimate(request: PageRequest) -> HttpResponse:
    """The estimate alone, for the page while somebody types."""
    return render(request, "metering/_estimate.html", _estimated(request, LabForm(request.POST)))


@require_POST
@never_cache
@organization_page(Scope.GATEWAY)
def lab_ticket(request: PageRequest) -> JsonResponse:
    """What the page shows to the gateway in place of a key."""
    place = place_of(request)
    if place is None:
        raise Http404
    return JsonResponse({"ticket": issue_ticket(organization=place[0], membership=place[1]), "seconds": LIFETIME})


@require_GET
@never_cache
@organization_page(Scope.GATEWAY)
def lab_outcome(request: PageRequest, event_id: UUID) -> HttpResponse:
    """What a call has really cost, beside what was told before; 404 until it is in the books."""
    outcome = outcome_of(request.organization.id, event_id, request.GET)
    if outcome is None:
        raise Http404("This call is not in the books yet.")
    return render(request, "metering/_outcome.html", {"outcome": outcome, "event": outcome.event})


def _estimated(request: PageRequest, form: LabForm) -> dict[str, Any]:
    if not form.is_valid():
        return {"form": form, "nothing_yet": not request.POST.get("prompt", "").strip()}
    draft = form.draft()
    try:
        estimate = estimate_call(principal=request.principal, data=draft.request(), raw=draft.raw(), at=timezone.now())
    except DomainError as refusal:
        return {"form": form, "refusal": refusal}
    return {"form": form, **estimate_facts(estimate)}
