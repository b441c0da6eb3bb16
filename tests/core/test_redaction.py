import pytest

from core.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk-or-v1-0123456789abcdef refused", "key sk-or-v1-[redacted] refused"),
        ("sk-proj-0123456789", "sk-[redacted]"),
        ("sk_live_0123456789 rk_test_0123456789", "sk_live_[redacted] rk_test_[redacted]"),
        ("fbx_live_abcdefghijk and fbx_test_abcdefghijk", "fbx_live_[redacted] and fbx_test_[redacted]"),
        ("fbx_page_01a1ff2a-0972.01a1ff2a-0973:1vABcd:x-y_zABCDEF", "fbx_page_[redacted]"),
        ("GET /invitations/Zk3-x_9aQw8rT2yU/", "GET /invitations/[redacted]/"),
        ("GET /checkout/test/Zk3-x_9aQw8rT2yU/?a=1", "GET /checkout/test/[redacted]/?a=1"),
        ("GET /portal/fbx_cs_eyJjdXN0b21lciI6IjAxYTEifQ:1vAB:x-y_z", "GET /portal/[redacted]"),
        ("GET /v1/checkouts/client/polar_cs_abcdefgh", "GET /v1/checkouts/client/[redacted]"),
        ("GET /accounts/password/reset/key/3-cabcde-0123456789abcdef/", "GET /accounts/password/reset/key/[redacted]/"),
        ("POST /team/invitations/01a1ff2a-0972/resend/", "POST /team/invitations/[redacted]/resend/"),
        ("whsec_c2VjcmV0c2VjcmV0", "whsec_[redacted]"),
        ("Authorization: Bearer abc.def-123", "Authorization: [redacted]"),
        ('{"key":"sk-or-v1-abcdef0123"}', '{"key":"sk-or-v1-[redacted]"}'),
    ],
)
def test_what_looks_like_a_key_is_replaced_by_its_prefix(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize("text", ["task-something", "sk-or-v1-a1b...9zz", "sk- or", "risk-averse-people"])
def test_other_text_is_left_alone(text):
    assert redact(text) == text
