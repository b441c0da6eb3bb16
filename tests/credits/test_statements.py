"""Statements: lines that add up, whenever they are written."""

import csv
from datetime import timedelta
from decimal import Decimal
from io import BytesIO, StringIO
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader

from credits.models import CreditAccount, Statement
from credits.services import (
    HoldRequest,
    SettleRequest,
    adjust_balance,
    deduct_credits,
    expire_lots,
    grant_credits,
    place_hold,
    refund_charge,
    settle_hold,
    void_lot,
)
from credits.statements import StatementRequest, figures_of, running_statement, statements_of, write_statements
from credits.statements.documents import statement_csv, statement_pdf
from outbox.models import DomainEvent
from tests.builders import NOON, make_call, make_customer, make_organization, make_record, make_user, sign_in, usd

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
END = NOON + 30 * DAY


def grant(organization, amount, at=NOON, kind="bonus", **fields):
    return grant_credits(
        organization_id=organization.pk, amount=usd(amount), kind=kind, reason="r", actor="t", at=at, **fields
    )


def deduct(organization, amount, at):
    return deduct_credits(organization_id=organization.pk, amount=usd(amount), reason="r", actor="t", at=at)


def write(organization, start=NOON, end=END, at=None):
    request = StatementRequest(organization.pk, start, end, "Starter", "Europe/Berlin")
    return write_statements([request], at=at or end)[0]


def lines(statement):
    return {line["code"]: usd(line["amount"]) for line in statement.lines}


def adds_up(statement):
    return statement.opening + sum(lines(statement).values()) == statement.closing


def test_every_movement_is_on_its_line_and_the_lines_add_up():
    organization = make_organization()
    grant(organization, "30", kind="allocated", expires_at=END)
    lot = grant(organization, "5").lot_id
    grant(organization, "20", kind="purchased", at=NOON + DAY)
    charge = deduct(organization, "12.000000000001", NOON + 2 * DAY)
    refund_charge(
        organization_id=organization.pk,
        entry_id=charge.entry_id,
        amount=usd("2"),
        reason="r",
        actor="t",
        at=NOON + 3 * DAY,
    )
    void_lot(organization_id=organization.pk, lot_id=lot, reason="r", actor="t", at=NOON + 4 * DAY)
    adjust_balance(organization_id=organization.pk, amount=usd("0.5"), reason="r", actor="t", at=NOON + 5 * DAY)
    expire_lots(at=END)

    statement = write(organization)

    assert lines(statement) == {
        "granted.allocated": usd("30"),
        "granted.purchased": usd("20"),
        "granted.bonus": usd("5"),
        "deducted": usd("-12.000000000001"),
        "refunded": usd("2"),
        "adjusted": usd("0.5"),
        "voided": usd("-5"),
        "expired": usd("-19.999999999999"),
    }
    assert (statement.opening, statement.closing) == (0, usd("20.5"))
    assert adds_up(statement)


def test_credit_that_expires_at_the_very_end_belongs_to_the_period_that_ends():
    organization = make_organization()
    grant(organization, "30", kind="allocated", expires_at=END)
    expire_lots(at=END)
    grant(organization, "40", at=END)

    first = write(organization)
    second = write(organization, END, END + 30 * DAY)

    assert (lines(first)["expired"], first.closing) == (usd("-30"), 0)
    assert (second.opening, lines(second)) == (0, {"granted.bonus": usd("40")})


def test_a_statement_written_weeks_late_says_what_it_would_have_said_on_time():
    def history(organization, late):
        grant(organization, "30", kind="allocated", expires_at=END)
        deduct(organization, "4", NOON + DAY)
        if not late:
            expire_lots(at=END)
            write(organization)
        grant(organization, "7", at=END + DAY)
        deduct(organization, "2", END + 2 * DAY)
        return write(organization, at=END + 40 * DAY)

    on_time, late = history(make_organization(), late=False), history(make_organization(), late=True)

    assert lines(on_time) == lines(late)
    assert (on_time.opening, on_time.closing, on_time.overage) == (late.opening, late.closing, late.overage)


def test_a_statement_is_written_once():
    organization = make_organization()
    grant(organization, "30")
    first = write(organization)
    grant(organization, "7", at=END - DAY)

    assert write(organization) == first
    assert Statement.objects.get() == first
    assert DomainEvent.objects.filter(type="statement.ready").count() == 1


def test_numbers_count_within_the_organization():
    one, other = make_organization(), make_organization()

    numbers = [write(one).number, write(other).number, write(one, END, END + 30 * DAY).number]

    assert numbers == [1, 1, 2]


def test_what_is_owed_below_zero_at_the_end_is_on_the_statement():
    organization = make_organization()
    CreditAccount.objects.filter(pk=organization.pk).update(overage_limit=10)
    grant(organization, "1")
    deduct(organization, "5", NOON + DAY)
    deduct(organization, "2", END + DAY)
    grant(organization, "3", kind="purchased", at=END + 2 * DAY)

    statement = write(organization)

    assert (statement.closing, statement.overage) == (usd("-4"), usd("4"))


def test_usage_is_listed_by_model_and_by_meter_and_adds_up_to_the_usage_line():
    from metering.services import record_usage

    organization = make_organization()
    grant(organization, "30")
    make_call(organization, "1", occurred_at=NOON + DAY)
    make_call(organization, "2", occurred_at=NOON + DAY)
    make_call(organization, "0.5", model="anthropic/claude-sonnet-4", occurred_at=NOON + DAY)
    record_usage([make_record(organization, "0.25", name="search", quantity=Decimal(3))], at=NOON + DAY)
    hold = place_hold(HoldRequest(organization.pk, usd("1"), "k", END), at=NOON + DAY).hold_id
    settle_hold(SettleRequest(hold, usd("0.125")), at=NOON + 2 * DAY)
    make_call(organization, "7", occurred_at=END)  # the next period's

    statement = write(organization)
    usage = figures_of(statement).usage

    assert [(line.section, line.label, line.events, line.cost, line.markup, line.charge) for line in usage] == [
        ("model", "openai/gpt-4o-mini", 2, usd("3"), usd("0.3"), usd("3.3")),
        ("model", "anthropic/claude-sonnet-4", 1, usd("0.5"), usd("0.05"), usd("0.55")),
        ("meter", "search", 1, usd("0"), usd("0.25"), usd("0.25")),
        ("other", "", 0, usd("0"), usd("0.125"), usd("0.125")),
    ]
    assert (usage[0].prompt_tokens, usage[0].completion_tokens) == (2400, 600)
    assert usage[2].quantity == 3
    assert sum(line.charge for line in usage) == -lines(statement)["usage"]
    assert adds_up(statement)


def test_the_csv_holds_every_digit_and_its_balance_rows_add_up():
    organization = make_organization()
    grant(organization, "30")
    make_call(organization, "1.000000000001", occurred_at=NOON + DAY, model="=cmd()")
    figures = figures_of(write(organization))

    rows = list(csv.DictReader(StringIO(statement_csv(figures))))

    balance = {row["line"]: usd(row["amount"]) for row in rows if row["section"] == "balance"}
    opening, closing = balance.pop("opening_balance"), balance.pop("closing_balance")
    assert opening + sum(balance.values()) == closing == usd("28.899999999999")
    assert [(row["line"], row["amount"]) for row in rows if row["section"] == "usage by model"] == [
        ("'=cmd()", "-1.100000000001")
    ]


def test_the_pdf_shows_the_period_every_line_and_the_balances():
    organization = make_organization()
    grant(organization, "30", kind="allocated")
    make_call(organization, "1", occurred_at=NOON + DAY)

    pdf = PdfReader(BytesIO(statement_pdf(figures_of(write(organization)), "Ümläut <b>& Söhne</b>")))
    text = "\n".join(page.extract_text() for page in pdf.pages)

    for expected in (
        "Statement 1",
        "Ümläut <b>& Söhne</b> · Starter",
        "02 March 2026, 13:00 to 01 April 2026, 14:00 (Europe/Berlin)",
        "Opening balance",
        "Monthly credit",
        "$30.00",
        "-$1.10",
        "Closing balance",
        "$28.90",
        "openai/gpt-4o-mini",
        "1,200 / 300",
    ):
        assert expected in text


def test_what_runs_begins_where_the_last_statement_ended():
    organization = make_organization()
    grant(organization, "30")
    write(organization)
    deduct(organization, "4", END + DAY)

    running, written = statements_of(organization, at=END + 2 * DAY)

    assert (running.status, running.id, running.starts_at, running.ends_at) == ("open", None, END, END + 2 * DAY)
    assert (running.opening_balance, running.movements, running.closing_balance) == (30, {"deducted": -4}, 26)
    assert (written.status, written.number, written.closing_balance) == ("final", 1, 30)
    assert running_statement(organization, at=END + 2 * DAY) == running


def test_without_periods_the_calendar_months_of_the_zone_are_shown():
    organization = make_organization(time_zone="America/New_York")
    grant(organization, "30", at=NOON)
    deduct(organization, "4", NOON + 40 * DAY)

    april, march = statements_of(organization, at=NOON + 90 * DAY)

    assert (march.month, march.movements, march.closing_balance) == ("2026-03", {"granted.bonus": 30}, 30)
    assert march.starts_at.astimezone(ZoneInfo("America/New_York")).isoformat() == "2026-03-01T00:00:00-05:00"
    assert (april.month, april.opening_balance, april.closing_balance) == ("2026-04", 30, 26)


def test_a_statement_of_another_organization_is_not_found():
    customer = make_customer(owner=make_user())
    member = sign_in(customer.memberships.get().user)
    other = write(make_organization())

    for path in ("", "export.csv", "export.pdf"):
        assert member.get(f"/credits/statements/{other.id}/{path}").status_code == 404


def test_the_pages_show_the_statements_and_give_them_as_files():
    customer = make_customer(owner=make_user(), name="Analytical Engines")
    member = sign_in(customer.memberships.get().user)
    grant(customer, "30", kind="allocated")
    make_call(customer, "1", occurred_at=NOON + DAY)
    statement = write(customer)

    listing = member.get("/credits/statements/").content.decode()
    page = member.get(f"/credits/statements/{statement.id}/").content.decode()

    assert "Statement 1" in listing and "$28.90" in listing
    assert "Monthly credit" in page and "openai/gpt-4o-mini" in page and "Closing balance" in page
    assert b"usage by model" in member.get(f"/credits/statements/{statement.id}/export.csv").content
    assert member.get(f"/credits/statements/{statement.id}/export.pdf").content.startswith(b"%PDF")
    assert member.get("/credits/statements/current/").status_code == 200
