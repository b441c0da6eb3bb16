import base64
import http.client
import math
from array import array
from decimal import Decimal

import pytest

from tests.sandbox.asking import open_raw, read_until

EMBEDDINGS = "/api/v1/embeddings"
SPEECH = "/api/v1/audio/speech"


def embed(sandbox, **body):
    body.setdefault("model", "openai/text-embedding-3-small")
    return sandbox.call("POST", EMBEDDINGS, body, key=sandbox.settings.api_key)


def speak(sandbox, text, **body):
    body = {"model": "openai/gpt-4o-mini-tts", "voice": "alloy", "input": text, **body}
    return sandbox.call("POST", SPEECH, body, key=sandbox.settings.api_key)


def test_an_embedding_costs_its_tokens(sandbox):
    status, body, headers = embed(sandbox, input="x" * 400)
    assert status == 200
    assert headers["x-generation-id"].startswith("gen-")
    assert (body["usage"]["prompt_tokens"], body["usage"]["total_tokens"]) == (100, 100)
    assert body["usage"]["cost"] == Decimal("0.000002") == sandbox.usage()
    vector = [float(number) for number in body["data"][0]["embedding"]]
    assert len(vector) == 1536
    assert math.isclose(math.hypot(*vector), 1, rel_tol=0.01)


def test_vectors_may_come_as_base64_of_the_same_numbers(sandbox):
    plain = embed(sandbox, input="hello", dimensions=8)[1]["data"][0]["embedding"]
    packed = embed(sandbox, input="hello", dimensions=8, encoding_format="base64")[1]["data"][0]["embedding"]
    assert array("f", base64.b64decode(packed)).tolist() == [float(number) for number in plain]


def test_lists_of_texts_and_of_tokens_are_embedded_each(sandbox):
    body = embed(sandbox, input=["one", "two", "three"])[1]
    assert [row["index"] for row in body["data"]] == [0, 1, 2]
    assert body["usage"]["prompt_tokens"] == 1 + 1 + 2
    assert body["data"][0]["embedding"] != body["data"][1]["embedding"]
    assert embed(sandbox, input=[5, 6, 7])[1]["usage"]["prompt_tokens"] == 3
    assert len(embed(sandbox, input=[[5, 6], [7]])[1]["data"]) == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"input": ""}, {"input": []}, {"input": {}}, {"input": [1, "x"]}, {"input": "x", "model": None}],
)
def test_an_embedding_of_nothing_is_refused(sandbox, body):
    if body == {"input": ""}:
        assert embed(sandbox, **body)[1]["usage"]["prompt_tokens"] == 0
    else:
        assert embed(sandbox, **body)[0] == 400
    assert sandbox.usage() == 0


def test_speech_is_raw_audio_priced_per_character_and_its_cost_is_in_the_lookup_only(sandbox):
    status, audio, headers = speak(sandbox, "é" * 1000)
    assert (status, headers["content-type"]) == (200, "audio/mpeg")
    assert isinstance(audio, bytes) and len(audio) == 64_000
    assert "usage" not in headers
    id_ = headers["x-generation-id"]
    record = sandbox.call("GET", f"/api/v1/generation?id={id_}", key=sandbox.settings.api_key)[1]["data"]
    assert (record["total_cost"], record["api_type"]) == (Decimal("0.0006"), "tts")
    assert sandbox.usage() == Decimal("0.0006")
    assert speak(sandbox, "x", response_format="pcm")[2]["content-type"] == "audio/pcm"


def test_the_id_of_speech_comes_before_the_audio(sandbox):
    body = {"model": "openai/gpt-4o-mini-tts", "voice": "alloy", "input": "[[first=0.5]]"}
    with open_raw(sandbox, body, path=SPEECH) as connection:
        assert b"x-generation-id: gen-" in read_until(connection, b"\r\n\r\n").lower()


def test_speech_and_embeddings_meet_faults(sandbox):
    assert speak(sandbox, "")[0] == 400
    assert speak(sandbox, "hello", model="openai/gpt-4o")[0] == 400
    sandbox.set_fault("429-retry-after")
    status, body, headers = speak(sandbox, "hello")
    assert (status, body["error"]["code"], headers["retry-after"]) == (429, 429, "1")
    sandbox.set_fault("usage-absent", path=EMBEDDINGS)
    assert "usage" not in embed(sandbox, input="hello")[1]
    sandbox.set_fault("cost-absent", path=EMBEDDINGS)
    assert "cost" not in embed(sandbox, input="hello")[1]["usage"]
    sandbox.set_fault("reset", path=EMBEDDINGS)
    with pytest.raises(ConnectionResetError):
        embed(sandbox, input="hello")
    before = sandbox.usage()
    sandbox.set_fault("cut-mid")
    with pytest.raises(http.client.IncompleteRead):
        speak(sandbox, "hello" * 100)
    assert sandbox.usage() - before == Decimal("0.0003")
    sandbox.set_fault("524-billed")
    assert speak(sandbox, "hello" * 100)[0] == 524
    assert sandbox.usage() - before == Decimal("0.0006")
