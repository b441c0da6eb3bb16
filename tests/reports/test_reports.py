"""Reports by e-mail: written once for each week or month, in the organization's zone, to those who want them."""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.test import Client
from pypdf import PdfReader

from accounts.principal import Actor
from accounts.services import add_member, create_team, place_member, update_organization
from core.errors import NotFound
from credits.services import grant_credits
from metering.services import record_usage
from outbox.mail import send_emails
from outbox.models import DomainEvent, EmailDelivery
from reports import services
from reports.errors import NobodyToWriteTo, ReportWanted
from reports.figures import shown
from reports.files import file_of_report, report_pdf
from reports.models import Recipient, Report, ReportSubscription
from reports.periods import due_at, period_of
from tests.api.caller import Caller
from tests.builders import make_customer, make_record, make_user, sign_in, usd
from tiers.querysets import forget_terms
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db
BY = Actor("test")
MADRID = ZoneInfo("Europe/Madrid")
# A Wednesday; the week ends on Sunday the 29th, on which Madrid's clocks go forward.
WEDNESDAY = datetime(2026, 3, 25, 12, tzinfo=UTC)
MONDAY_AT_SEVEN = datetime(2026, 3, 30, 7, tzinfo=MADRID).astimezone(UTC)
DAY = timedelta(days=1)


class World:
    """An organization in Madrid with two people, one of whom is in a team."""

    def __init__(self):
        self.owner, self.ada = make_user(email="boss@example.com"), make_user(email="ada@example.com", name="Ada")
        self.customer = make_customer(name="Acme", owner=self.owner)
        who = {"organization_id": self.customer.id, "actor": BY, "at": WEDNESDAY - 40 * DAY}
        update_organization(name="Acme", time_zone="Europe/Madrid", **who)
        self.customer.refresh_from_db()
        grant_credits(
            organization_id=self.customer.id, amount=usd("900"), kind="bonus", reason="x", actor="x", at=who["at"]
        )
        self.boss = self.customer.memberships.get(user=self.owner)
        self.member = add_member(user=self.ada, role="member", **who)
        self.team = create_team(name="Search", **who)
        place_member(membership_id=self.member.id, team_id=self.team.id, **who)

    def use(self, at, charge, **fields):
        fields = {"kind": "chat", "model": "a/x", "prompt_tokens": 10, "latency_ms": 100, **fields}
        [outcome] = record_usage([make_record(self.customer, charge, occurred_at=at, **fields)], at=at)
        assert outcome.status == "recorded"

    def want(self, cadence="weekly", at=WEDNESDAY, **fields):
        fields = {"member_ids": [self.boss.id, self.member.id], "format": "pdf", **fields}
        return services.subscribe(organization_id=self.customer.id, cadence=cadence, actor=BY, at=at, **fields)


@pytest.fixture
def world(db):
    return World()


@pytest.mark.parametrize(
    ("day", "cadence", "first", "last"),
    [
        (date(2026, 3, 25), "weekly", date(2026, 3, 23), date(2026, 3, 29)),
        (date(2026, 3, 29), "weekly", date(2026, 3, 23), date(2026, 3, 29)),
        (date(2027, 1, 1), "weekly", date(2026, 12, 28), date(2027, 1, 3)),
        (date(2028, 2, 29), "monthly", date(2028, 2, 1), date(2028, 2, 29)),
        (date(2026, 12, 31), "monthly", date(2026, 12, 1), date(2026, 12, 31)),
    ],
)
def test_weeks_begin_on_monday_and_months_on_the_first(day, cadence, first, last):
    period = period_of(day, cadence)
    assert (period.first, period.last) == (first, last)


def test_seven_o_clock_is_that_of_the_zone_on_both_sides_of_a_clock_change():
    assert due_at(period_of(date(2026, 3, 20), "weekly"), MADRID) == datetime(2026, 3, 23, 6, tzinfo=UTC)
    assert due_at(period_of(date(2026, 3, 27), "weekly"), MADRID) == datetime(2026, 3, 30, 5, tzinfo=UTC)


def test_a_week_is_written_at_seven_on_monday_once_with_the_days_of_the_zone(world):
    wanted = world.want()
    sunday_night = datetime(2026, 3, 29, 23, 30, tzinfo=MADRID)
    world.use(WEDNESDAY - 7 * DAY, "4")
    world.use(sunday_night, "1", member_id=world.member.id, tags={"prompt_id": "p"})
    world.use(sunday_night + timedelta(minutes=45), "5")  # Monday there, though Sunday in UTC
    world.use(WEDNESDAY, "2", status="error")
    assert services.write_due_reports(at=MONDAY_AT_SEVEN - timedelta(seconds=1)) == 0
    assert services.write_due_reports(at=MONDAY_AT_SEVEN) == 1
    assert services.write_due_reports(at=MONDAY_AT_SEVEN) == 0
    report = Report.objects.get()
    assert (report.first_day, report.last_day, report.recipients) == (date(2026, 3, 23), date(2026, 3, 29), 2)
    assert (report.figures["total"]["charge"], report.figures["previous"]["charge"]) == ("3", "4")
    assert report.figures["total"]["errors"] == 1
    by_day = {each["day"]: each["charge"] for each in report.figures["by_day"]}
    assert (len(by_day), by_day["2026-03-29"], by_day["2026-03-25"]) == (7, "1", "2")
    parts = {
        each["by"]: [(line["name"], line["charge"]) for line in each["lines"]] for each in report.figures["breakdowns"]
    }
    assert parts == {
        "model": [("a/x", "3")],
        "team": [("In no team", "2"), ("Search", "1")],
        "member": [("Keys without a member", "2"), ("ada@example.com", "1")],
        "prompt": [("p", "1")],
    }
    wanted.refresh_from_db()
    assert (wanted.next_day, wanted.next_at) == (date(2026, 3, 30), datetime(2026, 4, 6, 5, tzinfo=UTC))
    assert EmailDelivery.objects.filter(key__startswith="report:").count() == 2


def test_after_days_of_downtime_every_missed_period_is_written_late_each_once(world):
    world.want()
    monthly = world.want("monthly")
    late = MONDAY_AT_SEVEN + 16 * DAY
    assert services.write_due_reports(at=late) == 4
    assert services.write_due_reports(at=late) == 0
    days = Report.objects.order_by("cadence", "first_day").values_list("cadence", "first_day")
    assert list(days) == [
        ("monthly", date(2026, 3, 1)),
        ("weekly", date(2026, 3, 23)),
        ("weekly", date(2026, 3, 30)),
        ("weekly", date(2026, 4, 6)),
    ]
    monthly.refresh_from_db()
    ReportSubscription.objects.update(next_day=date(2026, 3, 23), next_at=WEDNESDAY)  # as if it had died before noting
    ReportSubscription.objects.filter(id=monthly.id).delete()
    assert services.write_due_reports(at=MONDAY_AT_SEVEN) == 0
    assert Report.objects.count() == 4


def test_one_report_that_breaks_keeps_no_other_waiting_and_is_tried_again(world, monkeypatch):
    broken, fine = world.want(), world.want(team_id=world.team.id)
    plain = services.figures_of

    def figures(about, *args, **kwargs):
        if about.team is None:
            raise RuntimeError("away")
        return plain(about, *args, **kwargs)

    monkeypatch.setattr(services, "figures_of", figures)
    assert services.write_due_reports(at=MONDAY_AT_SEVEN) == 1
    assert Report.objects.get().subscription == fine
    monkeypatch.setattr(services, "figures_of", plain)
    assert services.write_due_reports(at=MONDAY_AT_SEVEN + timedelta(minutes=11)) == 1
    assert Report.objects.filter(subscription=broken).exists()


def test_the_letter_has_the_figures_the_file_and_a_button_that_takes_off_the_list(world, settings):
    world.want(team_id=world.team.id)
    world.use(WEDNESDAY, "2", member_id=world.member.id)
    world.use(WEDNESDAY, "7")
    services.write_due_reports(at=MONDAY_AT_SEVEN)
    sent, failed = send_emails(at=MONDAY_AT_SEVEN)
    assert (sent, failed) == (2, 0)
    letter = next(each for each in mail.outbox if each.to == ["ada@example.com"])
    assert letter.subject == "Weekly report: Search, 23 March to 29 March 2026"
    assert "Hello Ada" in letter.body and "$2.00" in letter.body and "$7.00" not in letter.body
    [(name, content, kind)] = letter.attachments
    assert (name, kind) == ("report-weekly-2026-03-23.pdf", "application/pdf")
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)
    assert "Weekly report: Search" in text and "$2.00" in text and "ada@example.com" in text
    headers = letter.extra_headers
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = re.fullmatch(r"<(.+)>", headers["List-Unsubscribe"])[1]
    assert link in letter.body
    stranger, path = Client(enforce_csrf_checks=True), link.removeprefix(settings.PUBLIC_URL)
    assert "Get this report no longer?" in stranger.get(path).content.decode()
    assert not Recipient.objects.filter(unsubscribed_at__isnull=False).exists()  # programs open links by themselves
    for _ in range(2):
        answer = stranger.post(path, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 200 and "You are off the list" in answer.content.decode()
    assert [each.membership for each in Recipient.objects.exclude(unsubscribed_at=None)] == [world.member]
    assert DomainEvent.objects.filter(type="report.unsubscribed").count() == 1
    assert stranger.post(path.replace(path[-8:-2], "000000")).status_code == 404
    world.use(MONDAY_AT_SEVEN, "1", member_id=world.member.id)
    assert services.write_due_reports(at=MONDAY_AT_SEVEN + 7 * DAY) == 1
    assert set(
        EmailDelivery.objects.filter(status="waiting", key__startswith="report:").values_list("recipient", flat=True)
    ) == {"boss@example.com"}


def test_only_the_person_themselves_gets_back_on_a_list(world):
    wanted = world.want()
    recipient = Recipient.objects.get(membership=world.member)
    services.unsubscribe(recipient_id=recipient.id, at=WEDNESDAY)
    change = {"subscription_id": wanted.id, "organization_id": world.customer.id, "actor": BY, "at": WEDNESDAY}
    services.change_recipients(member_ids=[world.boss.id, world.member.id], **change)
    recipient.refresh_from_db()
    assert recipient.unsubscribed_at is not None
    assert sign_in(world.owner).post(f"/reports/again/{recipient.id}/").status_code == 404
    assert sign_in(world.ada).post(f"/reports/again/{recipient.id}/").status_code == 302
    recipient.refresh_from_db()
    assert recipient.unsubscribed_at is None
    with pytest.raises(NobodyToWriteTo):
        services.change_recipients(member_ids=[], **change)
    with pytest.raises(NotFound):
        services.change_recipients(member_ids=[make_customer(owner=make_user()).memberships.get().id], **change)


def test_a_report_is_wanted_once_and_of_ones_own_teams(world):
    world.want()
    with pytest.raises(ReportWanted):
        world.want()
    world.want(format="csv")
    strangers = make_customer(owner=make_user())
    theirs = create_team(organization_id=strangers.id, name="T", actor=BY, at=WEDNESDAY)
    with pytest.raises(NotFound):
        world.want(team_id=theirs.id)
    assert ReportSubscription.objects.count() == 2


def test_what_the_tier_does_not_include_is_refused_and_passed_over(world):
    small = create_tier(
        at=WEDNESDAY, slug="small", name="Small", entitlements={"scheduled_reports": [], "teams": False}
    )
    csv_only = create_tier(
        at=WEDNESDAY, slug="files", name="Files", entitlements={"scheduled_reports": ["csv"], "teams": True}
    )
    wanted, as_csv = world.want(), world.want(format="csv")
    subscribe(organization_id=world.customer.id, tier_slug=csv_only.slug, at=WEDNESDAY)
    forget_terms()
    assert services.write_due_reports(at=MONDAY_AT_SEVEN) == 1
    assert Report.objects.get().subscription == as_csv
    wanted.refresh_from_db()
    assert (wanted.refused_at, wanted.next_day) == (MONDAY_AT_SEVEN, date(2026, 3, 30))
    file = file_of_report(str(Report.objects.get().id))
    rows = list(csv.DictReader(io.StringIO(file.content.decode())))
    assert (file.name, rows[0]["section"], rows[0]["charge"]) == ("report-weekly-2026-03-23.csv", "total", "0")
    subscribe(organization_id=world.customer.id, tier_slug=small.slug, at=MONDAY_AT_SEVEN)
    forget_terms()  # as a commit does
    body = {"cadence": "monthly", "member_ids": [str(world.boss.id)]}
    status, problem = Caller(world.customer).ask("POST", "report-subscriptions", body)
    assert (status, problem["entitlement"]) == (403, "scheduled_reports")
    page = sign_in(world.owner).get("/reports/").content.decode()
    assert "Scheduled reports: PDF is not included in Small" in page and "Send a report" not in page
    form = {"cadence": "monthly", "format": "pdf", "members": [world.boss.id]}
    assert sign_in(world.owner).post("/reports/new/", form).status_code == 400
    assert ReportSubscription.objects.count() == 2


def test_the_api_subscribes_lists_and_shows(world):
    caller = Caller(world.customer)
    body = {"cadence": "weekly", "team_id": str(world.team.id), "member_ids": [str(world.member.id)]}
    status, wanted = caller.ask("POST", "report-subscriptions", body)
    assert (status, wanted["subject"], wanted["format"]) == (201, "Search", "pdf")
    assert [each["email"] for each in wanted["recipients"]] == ["ada@example.com"]
    assert caller.ask("POST", "report-subscriptions", body)[1]["code"] == "report_exists"
    path = f"report-subscriptions/{wanted['id']}"
    assert len(caller.ask("PATCH", path, {"member_ids": [str(world.boss.id)]})[1]["recipients"]) == 1
    assert services.write_due_reports(at=ReportSubscription.objects.get().next_at) == 1
    [row] = caller.ask("GET", "reports")[1]["data"]
    detail = caller.ask("GET", f"reports/{row['id']}")[1]
    assert (detail["subject"], detail["figures"]["total"]["events"]) == ("Search", 0)
    assert caller.send("GET", f"reports/{row['id']}.pdf").content.startswith(b"%PDF")
    assert caller.ask("DELETE", path)[0] == 204
    assert caller.ask("GET", f"reports/{row['id']}")[1]["subscription_id"] is None
    test_key = Caller(world.customer.test_twin)
    assert test_key.ask("POST", "report-subscriptions", body)[1]["code"] == "live_mode_required"
    assert test_key.ask("GET", "reports")[1]["data"] == []


def test_the_pages_subscribe_preview_show_and_stop(world):
    browser = sign_in(world.owner)
    form = {"team": world.team.id, "cadence": "monthly", "format": "pdf", "members": [world.boss.id]}
    world.use(datetime.now(UTC), "3", member_id=world.member.id)
    preview = browser.post("/reports/new/", form, follow=True).content.decode()
    assert "Monthly report: Search" in preview and "still running" in preview and "$3.00" in preview
    wanted = ReportSubscription.objects.get()
    browser.post(f"/reports/sent/{wanted.id}/", {"members": [world.member.id]})
    assert [each.membership for each in wanted.recipients.all()] == [world.member]
    services.write_due_reports(at=wanted.next_at)
    report = Report.objects.get()
    page = browser.get(f"/reports/{report.id}/").content.decode()
    assert "Monthly report: Search" in page and "ada@example.com" in page
    assert browser.get(f"/reports/{report.id}.pdf")["Content-Type"] == "application/pdf"
    listed = browser.get("/reports/").content.decode()
    assert "Sent regularly" in listed and "Written so far" in listed
    viewer = sign_in(world.ada)
    assert viewer.get("/reports/").status_code == 200
    assert viewer.post(f"/reports/sent/{wanted.id}/cancel/").status_code == 403
    browser.post(f"/reports/sent/{wanted.id}/cancel/")
    assert not ReportSubscription.objects.exists()
    assert Report.objects.get().subscription is None


def test_a_busy_month_fits_a_document_with_names_that_are_markup(world):
    for place in range(14):
        world.use(WEDNESDAY - place * DAY, "0.000000000001", model=f"<b>&{place}/x", tags={"prompt_id": "=1+1"})
    wanted = world.want("monthly")
    services.write_due_reports(at=wanted.next_at)
    report = Report.objects.get()
    [models] = [each for each in report.figures["breakdowns"] if each["by"] == "model"]
    assert (len(models["lines"]), models["lines"][-1]["name"]) == (11, "4 more")
    assert sum(Decimal(line["charge"]) for line in models["lines"]) == Decimal("0.000000000014")
    assert "<b>&0/x" in "".join(page.extract_text() for page in PdfReader(io.BytesIO(report_pdf(shown(report)))).pages)
