"""Files of movements: nothing moves unless every line can, each line moves once, in one person's name."""

import csv
import io
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.principal import Actor
from core.errors import InvalidRequest, KeyReused
from credits.audit import audit_books
from credits.batch_file import MOST_ROWS, read_lines
from credits.errors import BatchNotReady
from credits.models import CreditAccount, LedgerEntry, Lot
from credits.operations import MovementBatch, MovementRow
from credits.services import batches, deduct_credits
from credits.services.batches import apply_batches, check_batch, confirm_batch, discard_batch, retry_batch
from outbox.models import DomainEvent
from tests.builders import NOON, make_call, make_funded, make_organization, make_user, sign_in, usd
from tests.concurrency.parallel import run_parallel

pytestmark = pytest.mark.django_db(transaction=True)

BOSS = Actor("boss@example.com")
STRANGER = "8c1f0c1e-5f0e-4c59-9a52-0d1a8f6f1b11"  # nobody's id, the same in every test process
HEAD = "organization,action,amount,kind,expires_at,charge,reason"


def text_of(*lines, head=HEAD):
    return "\n".join([head, *lines]).encode()


def check(*lines, name="march", reason="Goodwill", **options):
    batch, _ = check_batch(
        name=name, reason=reason, file_name="m.csv", content=text_of(*lines, **options), actor=BOSS, at=NOON
    )
    return batch


def carry_out(batch, at=NOON):
    confirm_batch(batch_id=batch.id, actor=BOSS, at=at)
    return apply_batches(at=at)


def books():
    """Everything that money leaves a mark on."""
    tables = (CreditAccount, Lot, LedgerEntry, DomainEvent)
    return [list(table.objects.order_by("pk").values()) for table in tables]


def balance_of(organization):
    return CreditAccount.objects.get(pk=organization.id).balance


def rows_of(batch):
    return list(batch.rows.order_by("line").values_list("line", "status", "error"))


@pytest.fixture
def pair():
    return make_funded("10", name="First"), make_funded("3", name="Second")


def test_a_file_is_tried_without_moving_anything_and_then_carried_out(pair):
    first, second = pair
    before = books()
    batch = check(
        f"{first.id},grant,2.5,purchased,,,",
        "Second,deduct,1.25,,,,Workshop",
        f"{second.id},adjust,-0.000000000001,,,,",
    )
    assert books() == before
    expected = list(batch.rows.order_by("line").values_list("line", "moved", "balance_after"))
    assert expected == [
        (2, usd("2.5"), usd("12.5")),
        (3, usd("-1.25"), usd("1.75")),
        (4, usd("-0.000000000001"), usd("1.749999999999")),
    ]
    assert carry_out(batch) == 3
    assert (balance_of(first), balance_of(second)) == (usd("12.5"), usd("1.749999999999"))
    entries = LedgerEntry.objects.exclude(reason="test").order_by("id")
    assert list(entries.values_list("kind", "reason", "actor")) == [
        ("grant", "Goodwill", "boss@example.com"),
        ("deduction", "Workshop", "boss@example.com"),
        ("adjustment", "Goodwill", "boss@example.com"),
    ]
    batch.refresh_from_db()
    assert (batch.status, batch.confirmed_by) == ("done", "boss@example.com")
    assert {(row.entry_id, row.moved, row.balance_after) for row in batch.rows.all()} == {
        (entry.id, entry.amount, entry.balance_after) for entry in entries
    }
    assert DomainEvent.objects.get(type="credits.batch_confirmed").data["sha256"] == batch.digest
    assert audit_books() == []


def test_a_charge_is_given_back_in_part_and_then_what_is_left(pair):
    first, _ = pair
    entry = make_call(first, "1", percent="10").entry_id
    batch = check(f"{first.id},refund,0.4,,,{entry},", f"{first.id},refund,,,,{entry},")
    carry_out(batch)
    assert [row.moved for row in batch.rows.order_by("line")] == [usd("0.4"), usd("0.7")]
    assert balance_of(first) == usd("10")


def test_each_line_is_tried_after_those_before_it(pair):
    first, _ = pair
    batch = check(f"{first.id},deduct,8,,,,", f"{first.id},deduct,8,,,,", f"{first.id},grant,6,,,,")
    assert rows_of(batch) == [
        (2, "waiting", ""),
        (3, "invalid", "This needs 8 USD; 2 USD is available."),
        (4, "waiting", ""),
    ]
    assert batch.rows.get(line=3).note == "The same as line 2."
    assert batch.rows.get(line=4).balance_after == usd("8")


WRONG = [
    ("Nobody,grant,1,,,,", "There is no such organization."),
    (",grant,1,,,,", "There is no organization."),
    (f"{STRANGER},grant,1,,,,", "There is no such organization."),
    ("Twice,grant,1,,,,", "2 organizations have this name: give the id."),
    ("First,give,1,,,,", "The action is one of grant, deduct, adjust, refund."),
    ("First,grant,,,,,", "There is no amount."),
    ("First,grant,one,,,,", "This is not a decimal number."),
    ("First,grant,NaN,,,,", "The amount must be finite."),
    ("First,grant,1e400,,,,", "The amount must be below 1000000000000."),
    ("First,grant,0.0000000000001,,,,", "The amount has more than 12 decimal places."),
    ("First,grant,-1,,,,", "The amount is positive; only an adjustment may be negative."),
    ("First,adjust,0,,,,", "The amount is positive; only an adjustment may be negative."),
    ("First,grant,1,rollover,,,", "The kind is one of bonus, purchased, allocated."),
    (
        "First,grant,1,,yesterday,,",
        "The expiry is a day like 2026-12-31 (its first instant, UTC) or an instant with offset.",
    ),
    (
        "First,grant,1,,2026-02-30,,",
        "The expiry is a day like 2026-12-31 (its first instant, UTC) or an instant with offset.",
    ),
    (
        "First,grant,1,,2026-03-02T13:00,,",
        "The expiry is a day like 2026-12-31 (its first instant, UTC) or an instant with offset.",
    ),
    ("First,grant,1,,2026-03-02,,", "The credit would expire before it can be spent."),
    ("First,deduct,1,bonus,,,", "Only a grant has a kind and an expiry."),
    ("First,deduct,12,,,,", "This needs 12 USD; 11 USD is available."),
    ("First,refund,1,,,,", "A refund needs the charge: the id of a ledger entry."),
    ("First,refund,1,,,nothing,", "The charge is not an id."),
    (f"First,refund,1,,,{STRANGER},", "No such ledger entry."),
    (f"First,grant,1,,,{STRANGER},", "Only a refund has a charge."),
    ("First,grant,1,,,,,,more", "There are more cells than columns."),
    ("First,grant,1,,,," + "x" * 301, "A reason has at most 300 characters."),
]


@pytest.mark.parametrize(("line", "error"), WRONG)
def test_a_line_that_cannot_be_says_why_and_holds_up_the_whole_file(line, error):
    make_funded("10", name="First"), make_funded("1", name="Twice"), make_funded("1", name="Twice")
    before = books()
    batch = check("First,grant,1,,,,", line)
    assert rows_of(batch) == [(2, "waiting", ""), (3, "invalid", error)]
    with pytest.raises(BatchNotReady):
        confirm_batch(batch_id=batch.id, actor=BOSS, at=NOON)
    assert apply_batches(at=NOON) == 0 and books() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Missing: organization, action, amount"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"a\0b", "not text"),
        (b"organization,action\nx,y", "Missing: amount"),
        (text_of("a,grant,1", head="organization,action,amount,colour"), "Unknown: colour"),
        (text_of("a,grant,1", head="organization,action,amount,amount"), "each once"),
        (text_of(), "1 to 2,000 lines"),
        (text_of(*["a,grant,1,,,,"] * (MOST_ROWS + 1)), "has 2,001"),
        (text_of('"a,grant,1'), "not CSV"),
    ],
)
def test_what_is_no_such_file_is_refused(content, words):
    with pytest.raises(InvalidRequest, match=words):
        check_batch(name="x", reason="y", file_name="m.csv", content=content, actor=BOSS, at=NOON)
    assert not MovementBatch.objects.exists()


def test_files_of_other_spreadsheets_are_read_too(pair):
    semicolons = "\ufeffOrganization; Action ;amount\r\nFirst;GRANT;1\r\n\r\nSecond;deduct;2\r\n".encode()
    lines = read_lines(semicolons, NOON)
    assert [(line.number, line.action, line.amount, line.errors) for line in lines] == [
        (2, "grant", usd("1"), []),
        (4, "deduct", usd("2"), []),  # as an editor counts them
    ]


def test_a_file_is_carried_out_once_under_its_name(pair):
    line = "First,grant,1,,,,"
    carry_out(check(line))
    before = books()
    again, is_new = check_batch(
        name=" march ", reason="Goodwill", file_name="m.csv", content=text_of(line), actor=BOSS, at=NOON
    )
    assert not is_new and again.status == "done"
    with pytest.raises(BatchNotReady):
        confirm_batch(batch_id=again.id, actor=BOSS, at=NOON)
    for changed in ({"reason": "Other"}, {}):
        with pytest.raises(KeyReused):
            check(line if changed else "First,grant,2,,,,", **changed)
    assert apply_batches(at=NOON) == 0 and books() == before


def test_a_file_that_was_only_checked_is_replaced(pair):
    first = check("First,grant,1,,,,")
    second = check("First,grant,2,,,,")
    assert not MovementBatch.objects.filter(pk=first.pk).exists()
    carry_out(second)
    assert balance_of(pair[0]) == usd("12")


def test_what_is_refused_when_its_turn_comes_is_kept_and_tried_again(pair):
    first, second = pair
    batch = check("First,deduct,10,,,,", "Second,grant,1,,,,")
    deduct_credits(organization_id=first.id, amount=usd("4"), reason="x", actor="x", at=NOON)
    assert carry_out(batch) == 2
    assert rows_of(batch) == [(2, "failed", "This needs 10 USD; 6 USD is available."), (3, "done", "")]
    assert (balance_of(first), balance_of(second)) == (usd("6"), usd("4"))
    batch.refresh_from_db()
    assert batch.status == "done"
    retry_batch(batch_id=batch.id, actor=BOSS, at=NOON)
    assert apply_batches(at=NOON) == 1 and balance_of(second) == usd("4")  # the good line does not move again
    from credits.services import grant_credits

    grant_credits(organization_id=first.id, amount=usd("4"), kind="bonus", reason="x", actor="x", at=NOON)
    retry_batch(batch_id=batch.id, actor=BOSS, at=NOON)
    apply_batches(at=NOON)
    assert balance_of(first) == 0 and {status for _, status, _ in rows_of(batch)} == {"done"}
    with pytest.raises(BatchNotReady):
        retry_batch(batch_id=batch.id, actor=BOSS, at=NOON)


def test_a_worker_that_dies_half_way_is_gone_on_with(pair, monkeypatch):
    batch = check(*["First,grant,1,,,,"] * 10)
    confirm_batch(batch_id=batch.id, actor=BOSS, at=NOON)
    assert apply_batches(at=NOON, limit=4) == 4
    with monkeypatch.context() as dying:
        dying.setattr(batches, "_note", lambda *_: 1 / 0)  # after the movement, before the row is written
        assert apply_batches(at=NOON) == 0
    assert balance_of(pair[0]) == usd("14")
    assert apply_batches(at=NOON) == 6 and balance_of(pair[0]) == usd("20")


def test_a_file_that_stops_keeps_no_other_waiting(pair, monkeypatch):
    files = [check(f"{one.id},grant,1,bonus,,,", name=name) for one, name in zip(pair, ("a", "b"), strict=True)]
    for file in files:
        confirm_batch(batch_id=file.id, actor=BOSS, at=NOON)
    plain = batches._move

    def broken(row, *rest):
        if row.organization_id == pair[0].id:
            raise ZeroDivisionError("broken")
        return plain(row, *rest)

    monkeypatch.setattr(batches, "_move", broken)
    assert apply_batches(at=NOON) == 1
    assert [balance_of(one) for one in pair] == [10, 4]


def test_parallel_workers_carry_out_each_line_once(pair):
    batch = check(*["First,grant,1,,,,"] * 30)
    confirm_batch(batch_id=batch.id, actor=BOSS, at=NOON)
    run_parallel([lambda: apply_batches(at=NOON) for _ in range(6)])
    while apply_batches(at=NOON):
        pass
    assert balance_of(pair[0]) == usd("40") and audit_books() == []
    assert LedgerEntry.objects.filter(key__startswith=f"batch:{batch.id}:").count() == 30


def test_without_its_lock_and_keys_parallel_workers_would_repeat_each_other(pair, monkeypatch):
    batch = check("First,grant,1,,,,")
    confirm_batch(batch_id=batch.id, actor=BOSS, at=NOON)
    row = batch.rows.get()
    run_parallel([lambda: batches._move(row, "x", "x", None, NOON) for _ in range(4)])
    assert balance_of(pair[0]) == usd("14")


def test_two_confirmations_at_once_are_one(pair):
    batch = check("First,grant,1,,,,")
    outcomes = run_parallel([lambda: confirm_batch(batch_id=batch.id, actor=BOSS, at=NOON) for _ in range(5)])
    assert sum(isinstance(outcome, BatchNotReady) for outcome in outcomes) == 4
    apply_batches(at=NOON)
    assert balance_of(pair[0]) == usd("11")


def test_what_was_carried_out_cannot_be_forgotten(pair):
    batch = check("First,grant,1,,,,")
    discard_batch(batch_id=batch.id, actor=BOSS, at=NOON)
    assert DomainEvent.objects.filter(type="credits.batch_discarded").count() == 1
    assert not MovementBatch.objects.exists() and not MovementRow.objects.exists()
    batch = check("First,grant,1,,,,")
    carry_out(batch)
    with pytest.raises(BatchNotReady):
        discard_batch(batch_id=batch.id, actor=BOSS, at=NOON)


# ---------------------------------------------------------------- the pages


@pytest.fixture
def site():
    return sign_in(make_user(email="boss@example.com", is_staff=True, is_superuser=True))


def send(site, *lines, **fields):
    file = SimpleUploadedFile("march.csv", text_of(*lines), content_type="text/csv")
    data = {"name": "march", "reason": "Goodwill", "file": file, **fields}
    return site.post("/admin/credits/movementbatch/add/", data, follow=True)


def test_a_file_is_sent_in_looked_at_confirmed_and_taken_away(site, pair):
    html = send(site, "First,grant,2.50,,,,", "=Second,deduct,1,,,,").content.decode()
    assert "<strong>1 line</strong> cannot be carried out" in html and "There is no such organization." in html
    html = send(site, "First,grant,2.50,,,,", "Second,deduct,1,,,,").content.decode()
    assert "Carry out 2 movements" in html
    batch = MovementBatch.objects.get()
    base = f"/admin/credits/movementbatch/{batch.pk}/"
    assert site.get(f"{base}confirm/").status_code == 405
    assert "on their way" in site.post(f"{base}confirm/", follow=True).content.decode()
    apply_batches(at=timezone.now())
    assert (balance_of(pair[0]), balance_of(pair[1])) == (usd("12.5"), usd("2"))
    table = list(csv.DictReader(io.StringIO(site.get(f"{base}result.csv").content.decode())))
    assert [(row["line"], row["status"], row["moved"], row["balance_after"]) for row in table] == [
        ("2", "done", "2.5", "12.5"),
        ("3", "done", "-1", "2"),
    ]
    assert table[0]["entry"] == str(LedgerEntry.objects.get(amount=usd("2.5")).id)
    assert LedgerEntry.objects.get(amount=usd("-1")).actor == "boss@example.com"
    assert "carried out before" in send(site, "First,grant,2.50,,,,", "Second,deduct,1,,,,").content.decode()
    assert (
        "was carried out as “march”"
        in send(site, "First,grant,2.50,,,,", "Second,deduct,1,,,,", name="again").content.decode()
    )


def test_a_result_is_harmless_in_a_spreadsheet(site, pair):
    send(site, "=HYPERLINK(1),grant,1,,,,")
    batch = MovementBatch.objects.get()
    assert "'=HYPERLINK(1)" in site.get(f"/admin/credits/movementbatch/{batch.pk}/result.csv").content.decode()


def test_without_a_reason_or_a_name_nothing_is_read(site, pair):
    for field in ("name", "reason"):
        html = send(site, "First,grant,1,,,,", **{field: "  "}).content.decode()
        assert "errornote" in html
    assert not MovementBatch.objects.exists()


def test_a_long_file_is_shown_page_by_page_at_the_cost_of_one(site, django_assert_max_num_queries):
    make_organization(name="Many")
    send(site, *["Many,grant,0.01,,,,"] * 250)
    batch = MovementBatch.objects.get()
    with django_assert_max_num_queries(14):
        html = site.get(f"/admin/credits/movementbatch/{batch.pk}/change/?page=3").content.decode()
    assert "Page 3 of 3" in html and html.count('<th scope="row">2') >= 50


def test_the_example_file_can_be_read(site):
    content = site.get("/admin/credits/movementbatch/template.csv").content
    lines = read_lines(content, NOON)
    assert [line.action for line in lines] == ["grant", "deduct", "adjust", "refund"]
    assert {error for line in lines for error in line.errors} == {"There is no such organization."}


def test_balances_are_adjusted_singly_too(site, pair):
    first, _ = pair
    base = f"/admin/credits/creditaccount/{first.id}/adjust/"
    key = site.get(base).context["form"]["key"].value()
    assert "$9.50" in site.post(base, {"amount": "-0.5", "reason": "Slip", "key": key}).content.decode()
    assert balance_of(first) == usd("10")
    site.post(base, {"amount": "-0.5", "reason": "Slip", "key": key, "confirm": "1"})
    site.post(base, {"amount": "-0.5", "reason": "Slip", "key": key, "confirm": "1"})
    assert balance_of(first) == usd("9.5")
    assert LedgerEntry.objects.latest("id").kind == "adjustment"
    assert "not zero" in site.post(base, {"amount": "0", "reason": "x", "key": key}).content.decode()
    assert "errornote" in site.post(base, {"amount": "1", "reason": "", "key": key}).content.decode()
    assert timezone.now() - LedgerEntry.objects.latest("id").posted_at < timedelta(minutes=1)
