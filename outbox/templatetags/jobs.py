"""Jobs in templates."""

from django import template
from django.contrib.admin.utils import quote
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.templatetags.farebox import ago
from outbox.jobs import Job, outcome_words
from outbox.models import Outcome

register = template.Library()

_TONES = {Outcome.OK: "good", Outcome.TROUBLED: "warn", Outcome.FAILED: "bad"}


@register.filter
def admin_quoted(key: str) -> str:
    """A row's key as the admin's addresses have it."""
    return str(quote(key))


@register.filter
def breakable(name: str) -> SafeString:
    """A dotted name that may go on in the next line after each part."""
    return format_html_join(SafeString(".<wbr>"), "{}", ((part,) for part in name.split(".")))


@register.filter
def milliseconds(duration: int | str | None) -> str:
    """``35 ms``, ``1.2 s``, ``4 min``; a dash for a job without a run."""
    if not isinstance(duration, int):
        return "–"
    if duration < 1000:
        return f"{duration} ms"
    return f"{duration / 1000:.1f} s" if duration < 120_000 else f"{duration // 60_000} min"


@register.simple_tag
def job_badge(job: Job) -> SafeString:
    """Failing since when, overdue, not yet run, or good."""
    if job.state is not None and job.state.failing_since is not None:
        words = _("failing") if job.state.last_outcome == Outcome.FAILED else _("in part")
        tone = _TONES[Outcome(job.state.last_outcome)]
        since = ago(job.state.failing_since)
        late = format_html(" {}", _badge(_("overdue"), "warn")) if job.is_overdue else ""
        return format_html('{}{}<span class="second-line">{} {}</span>', _badge(words, tone), late, _("first"), since)
    if job.is_overdue:
        return _badge(_("overdue"), "warn")
    return _badge(_("good"), "good") if job.has_run else _badge(_("not yet run"), "")


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """How one run ended."""
    return _badge(outcome_words(outcome), _TONES[Outcome(outcome)])


def _badge(words: str, tone: str) -> SafeString:
    return format_html('<span class="state state-{}">{}</span>', tone or "none", words)
