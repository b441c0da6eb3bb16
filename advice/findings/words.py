"""A recommendation in words: what to do, what it rests on, and what it may cost otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _

from advice.models import Finding, Recommendation
from advice.services.recommendations import BY_A_RULE
from core.amounts import readable

Evidence = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation ready to be read. ``facts`` are (name, figure in words)."""

    row: Recommendation
    title: str
    text: str
    caution: str
    facts: list[tuple[str, str]]
    events_url: str
    what_if_url: str

    @property
    def key(self) -> str:
        """For ids in the page."""
        return str(self.row.pk)

    @property
    def may_be_applied(self) -> bool:
        """Whether the gateway can follow it."""
        return self.row.kind in BY_A_RULE


def advice_of(row: Recommendation, *, first: date | datetime, last: date | datetime) -> Advice:
    """The words for ``row``; its events are those of ``first`` to ``last``."""
    evidence = row.evidence
    title, text, caution, facts = _WORDS[row.kind](evidence)
    return Advice(
        row=row,
        title=title,
        text=text,
        caution=caution,
        facts=facts,
        events_url=_events_url(evidence, first, last),
        what_if_url=_what_if_url(row.kind, evidence),
    )


def title_of(kind: str, evidence: Evidence) -> str:
    """What to do, in a line."""
    return _WORDS[kind](evidence)[0]


_Said = tuple[str, str, str, list[tuple[str, str]]]


def _usd(text: str) -> str:
    return readable(Decimal(text))


def _cheaper(e: Evidence) -> _Said:
    facts = [
        (_("Calls"), f"{e['events']:,}"),
        (_("They cost"), _usd(e["spent"])),
        (_("With the other model"), _usd(e["would_cost"])),
        (_("Longest call"), _("%(tokens)s tokens") % {"tokens": f"{e['longest_call']:,}"}),
    ]
    others = [f"{each['model']} ({_usd(each['saving'])})" for each in e.get("alternatives", [])]
    if others:
        facts.append((_("Others that fit, with their saving"), ", ".join(others)))
    return (
        _("Use %(other)s for the work of %(model)s") % {"other": e["to_model"], "model": e["model"]},
        _("It takes and gives the same, holds your longest call, and costs less for the very tokens you used."),
        _("Whether its answers are as good no figure tells: try it on some of your prompts first."),
        facts,
    )


def _free(e: Evidence) -> _Said:
    return (
        _("Use the free variant of %(model)s") % {"model": e["model"]},
        _("The provider lists the same model at no price. Where it does not answer, the paid one does."),
        _("Free models allow few calls a minute and a day, and their hosts may keep what you send."),
        [
            (_("Calls"), f"{e['events']:,}"),
            (_("Calls a day"), f"{e['calls_a_day']:,}"),
            (_("They cost"), _usd(e["spent"])),
        ],
    )


def _caching(e: Evidence) -> _Said:
    return (
        _("Let %(model)s read the beginning of %(tag)s from the cache") % {"model": e["model"], "tag": e["tag"]},
        _(
            "These prompts are large and nearly of one size, so most of each is likely the same. Put the fixed part "
            "first, and mark it for caching where the provider asks for that (cache_control for Anthropic’s models)."
        ),
        _("How much of the prompts is equal is estimated from their sizes: prompts themselves are never kept."),
        [
            (_("Calls"), f"{e['events']:,}"),
            (_("Common beginning, about"), _("%(tokens)s tokens") % {"tokens": f"{e['prefix']:,}"}),
            (_("Calls within five minutes of another"), f"{e['hits']:,}"),
            (_("Read from a cache so far"), _share(e["cached_tokens"], e["prompt_tokens"])),
        ],
    )


def _limit(e: Evidence) -> _Said:
    return (
        _("Limit answers of %(model)s to %(tokens)s tokens") % {"model": e["model"], "tokens": f"{e['max_tokens']:,}"},
        _("Your calls name no longest answer. One in a hundred runs far beyond the others, and every token is paid."),
        _("Longer answers are cut off. Calls that name a limit of their own keep it."),
        [
            (_("Calls without a limit"), f"{e['events']:,}"),
            (_("Answers that would have been cut"), f"{e['cut']:,}"),
            (_("Usual answer"), _("%(tokens)s tokens") % {"tokens": f"{e['median']:,}"}),
            (_("Longest answer"), _("%(tokens)s tokens") % {"tokens": f"{e['longest']:,}"}),
        ],
    )


def _duplicates(e: Evidence) -> _Said:
    return (
        _("Keep answers of %(model)s that you ask for again") % {"model": e["model"]},
        _("The same request was sent more than once within a day, word for word. Keep its answer on your side."),
        _("Counted beyond the dearest call of each request. Told apart by keyed hashes; no prompt is kept."),
        [
            (_("Requests sent again"), f"{e['requests']:,}"),
            (_("Calls for them"), f"{e['events']:,}"),
            (_("Of them repetitions"), f"{e['repetitions']:,}"),
        ],
    )


def _tier(e: Evidence) -> _Said:
    own_key = e["needs_own_key"]
    name = _("%(name)s with your own key") % {"name": e["name"]} if own_key else e["name"]
    lost = e.get("lost") or []
    caution = _("It does not include: %(lost)s.") % {"lost": "; ".join(lost)} if lost else ""
    return (
        _("Change from %(from)s to %(name)s") % {"from": e["from_name"], "name": name},
        _("Thirty days of your usage, replayed: the plan’s price, use beyond its credit, and your own key’s bill."),
        caution or _("Counted with the usage of the last thirty days; other months may differ."),
        [
            (_("Events"), f"{e['events']:,}"),
            (_("A month now"), _usd(e["spent"])),
            (_("A month then"), _usd(e["would_cost"])),
            (_("Price of the plan"), _usd(e["monthly_price"])),
            (_("Credit in it"), _usd(e["monthly_credit"])),
        ],
    )


_WORDS: Mapping[str, Callable[[Evidence], _Said]] = {
    Finding.CHEAPER_MODEL: _cheaper,
    Finding.FREE_MODEL: _free,
    Finding.CACHING: _caching,
    Finding.OUTPUT_LIMIT: _limit,
    Finding.DUPLICATES: _duplicates,
    Finding.TIER: _tier,
}


def _share(part: int, whole: int) -> str:
    return _("%(percent)s %% of the input") % {"percent": part * 100 // whole if whole else 0}


def _events_url(evidence: Evidence, first: date | datetime, last: date | datetime) -> str:
    query = {"start": f"{first:%Y-%m-%d}", "end": f"{last:%Y-%m-%d}"}
    if "model" in evidence:
        query["model"] = evidence["model"]
    if "tag" in evidence:
        query["tag"] = evidence["tag"]
    return f"{reverse('usage_events')}?{urlencode(query)}"


def _what_if_url(kind: str, evidence: Evidence) -> str:
    if kind in (Finding.CHEAPER_MODEL, Finding.FREE_MODEL):
        query = {"only_model": evidence["model"], "model": evidence["to_model"]}
    elif kind == Finding.TIER:
        query = {"tier": f"{evidence['tier']}|{evidence['option']}"}
    else:
        return ""
    return f"{reverse('what_if')}?{urlencode(query)}"
