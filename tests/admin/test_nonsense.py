"""Nonsense in every field of the forms that make, change and move what is worth money: told, and nothing moved."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client

from credits.batch_file import COLUMNS
from credits.operations import MovementBatch
from tests.admin.forms import Form
from tests.admin.pages import pages
from tests.admin.test_whole import POST_ONLY, everything, make_boss
from tests.builders import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("without_the_list_of_all_tables")]

_APPS = {"coupons", "tiers", "credits", "payments", "metering"}
_KINDS = {"coupon", "couponbatch"}
WORDS = {"name", "reason", "note", "partner"}  # whatever can be printed
# Refused wherever they stand: some field of every form takes none of them.
PLAIN = ("NaN", "-1e400", "9999-12-31T23:59:59", "0x10", "0001-01-01T00:00")
LONG = ("\x00", "x" * 20_000)
JSON = ("[" * 20_000, '{"a": "\\ud800"}', '{"a": "\\u0000"}', "[NaN]")
# One after the other in a field whose neighbours are right: answered, whatever the answer.
ALONE = (
    *(*PLAIN, *LONG, *JSON, "Infinity", "0.0000000000001", "9" * 5_000, "1e999999999", "-1", "１２"),
    *("2026-02-30T00:00", "null", "[[]]", '[{"type": []}]', '{"analytics_days": 1e40}', '{"own": 1e999}', "🂡" * 400),
    *('[{"type": "percentage", "percent": "NaN"}]', '[{"meter": "x", "mode": [], "price": {}}]'),
    '[{"slug": [], "components": {}}]',
)


def forms(client: Client):
    """Every such form with its address, made right where that takes no more than words and numbers."""
    for page in pages():
        if page.model._meta.app_label not in _APPS or page.kind in POST_ONLY | {"changelist", "history", "delete"}:
            continue
        by_kind = page.kind == "add" and page.model._meta.model_name in _KINDS
        kinds = [f"?type={kind}" for kind in ("bonus", "percent", "free_period", "tier")] if by_kind else [""]
        for address in (f"{page.address}{kind}" for kind in kinds):
            answer = client.get(address)
            if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
                form = Form(answer.getvalue().decode())
                if form.fields:
                    yield address, form


def nonsense_for(form: Form, turn: int) -> tuple[str, ...]:
    """Not all of it in every form: there are many."""
    fields = set(form.fields) - WORDS
    plain = (PLAIN[turn % len(PLAIN)], PLAIN[(turn + 1) % len(PLAIN)]) if fields else ()
    return (LONG[turn % 2], *plain, *(JSON if any(form.kinds[name] == "textarea" for name in fields) else ()))


def right(form: Form) -> dict[str, list[str]]:
    empty = {name: ["Good"] if name in WORDS else ["1"] for name, value in form.fields.items() if value == [""]}
    optional = {"expires_at", "starts_at", "ends_at", "begins_at", "effective_from", "options", "seen"}
    return {**form.fields, **{name: value for name, value in empty.items() if name not in optional}}


def test_nonsense_in_every_field_is_told_and_moves_nothing(furnished):
    client = sign_in(make_boss())
    before, seen = everything(), 0
    for address, form in forms(client):
        for value in nonsense_for(form, seen):
            sent = {name: form.fields[name] if form.kinds[name] == "hidden" else [value] for name in form.fields}
            answer = client.post(address, {**sent, "confirm": "1"})
            assert answer.status_code in (200, 403), (address, value[:30])
            assert answer.status_code == 403 or "error" in answer.content.decode(), (address, value[:30])
        seen += 1
    assert seen >= 25
    assert everything() == before


def test_nonsense_in_one_field_breaks_no_form(furnished):
    client = sign_in(make_boss())
    turn = 0
    for address, form in forms(client):
        good = right(form)
        for name in [name for name in form.fields if form.kinds[name] != "file"][:12]:
            turn, value = turn + 1, ALONE[turn % len(ALONE)]
            with transaction.atomic():
                answer = client.post(address, {**good, name: [value], "confirm": "1"})
                assert answer.status_code in (200, 302, 403), (address, name, value[:30])
                transaction.set_rollback(True)
    assert turn > 5 * len(ALONE)


HEAD = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b"\x00\x01", "not text", id="no text"),
        pytest.param("organization,action,amount\nä,grant,1".encode("latin-1"), "UTF-8", id="another encoding"),
        pytest.param(b"organization,amount\nx,1", "Missing: action", id="a column missing"),
        pytest.param(b"organization,action,amount,amount\nx,grant,1,1", "each once", id="a column twice"),
        pytest.param(b'organization,action,amount\n"x,grant,1', "not CSV", id="an open quote"),
        pytest.param(b"organization,action,amount\n" + b"x,grant,1\n" * 10_000, "1 to 2,000 lines", id="too many"),
        pytest.param(b"organization,action,amount\n" + b"x" * 200_000 + b",grant,1", "not CSV", id="a huge cell"),
    ],
)
def test_a_file_that_is_no_list_of_movements_is_told_and_kept_nowhere(furnished, content, words):
    client, before = sign_in(make_boss()), MovementBatch.objects.count()
    sent = {"name": "nonsense", "reason": "x", "file": SimpleUploadedFile("m.csv", content)}
    answer = client.post("/admin/credits/movementbatch/add/", sent)
    assert answer.status_code == 200 and words in answer.content.decode()
    assert MovementBatch.objects.count() == before


def test_every_line_of_a_file_says_what_is_wrong_with_it(furnished):
    customer = MovementBatch.objects.first().rows.first().organization
    lines = [
        "\ufeff" + HEAD,
        *(f"{customer.pk},grant,{amount},,,," for amount in ("NaN", "1e400", "0.0000000000001", "-1", "")),
        *(f"{customer.pk},grant,1,,{day},," for day in ("0001-01-01", "9999-12-31T23:59:59-14:00", "2026-02-30")),
        "",
        f'"{customer.name}",grant,1,refund,,,',
        f"{customer.pk},refund,1,,,nobody,",
        f"{customer.pk},refund,1,,,0192f5d2-0000-7000-8000-000000000001,",
        f"{customer.pk},grant,1,,,,{'x' * 400},and,more",
    ]
    sent = {"name": "lines", "reason": "x", "file": SimpleUploadedFile("m.csv", "\r\n".join(lines).encode())}
    client, before = sign_in(make_boss()), everything()
    answer = client.post("/admin/credits/movementbatch/add/", sent)
    assert answer.status_code == 302 and client.get(answer["Location"]).status_code == 200
    batch = MovementBatch.objects.get(name="lines")
    rows = list(batch.rows.order_by("line").values_list("line", "status"))
    assert rows == [(line, "invalid") for line in (*range(2, 10), *range(11, 15))]
    assert all(batch.rows.values_list("error", flat=True))
    changed = {name for name, table in everything().items() if table != before[name]}
    assert changed == {"credits.MovementBatch", "credits.MovementRow"}
