"""The examples of docs/metering.md run as they stand there."""

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from metering.models import UsageEvent
from tests.metering.reporting import Reporter, make_model, make_reporter

pytestmark = pytest.mark.django_db

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "metering.md").read_text()


def examples():
    """Each curl of the page: method, path with query, body."""
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL):
        for line in re.split(r"\n(?=curl )", block.replace("\\\n", " ").strip()):
            words = shlex.split(line)
            options = {words[at]: words[at + 1] for at in range(len(words) - 1) if words[at] in ("-X", "-d")}
            [url] = [word for word in words if word.startswith("$FAREBOX_URL")]
            parts = urlsplit(url.removeprefix("$FAREBOX_URL"))
            yield options.get("-X", "GET"), f"{parts.path}?{parts.query}", options.get("-d", "")


def test_every_example_is_answered_as_the_page_says():
    make_model("openai/gpt-4o-mini", prompt="0.00000015", completion="0.0000006")
    client = Reporter(make_reporter("10")).client
    answers = []
    for method, path, body in examples():
        response = client.generic(method, path, body.encode(), content_type="application/json")
        answers.append((path.partition("?")[0].removeprefix("/api/v1/metering/"), response))
    assert [response.status_code for _, response in answers] == [201, 201, 207] + [200] * 7
    first, _, batch = (response.json() for _, response in answers[:3])
    assert (first["cost"], first["markup"], first["charge"], first["available"]) == (
        "0.00039",
        "0.000039",
        "0.000429",
        "9.999571",
    )
    assert (batch["recorded"], batch["refused"], batch["charge"]) == (2, 1, "0.00033")
    assert batch["results"][2]["error"]["detail"] in TEXT.replace("\n", " ")
    assert UsageEvent.objects.count() == 4


def test_every_code_of_the_page_exists():
    from core.refusals import all_refusals

    known = {error.code for error in all_refusals()}
    table = TEXT[TEXT.index("| Code of an event") : TEXT.index("What fits:")]
    assert set(re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE))
    for cell in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE):
        assert set(re.findall(r"`(\w+)`", cell)) <= known
