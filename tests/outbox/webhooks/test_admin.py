"""The back office of webhooks: what happened without secrets, and sending again."""

import pytest

from outbox.models import WebhookEndpoint, WebhookMessage
from tests.builders import make_user, sign_in
from tests.outbox.webhooks.conftest import send, tell

pytestmark = pytest.mark.django_db
ADMIN = "/admin/outbox"


def test_an_operator_sees_what_did_not_arrive_and_lets_it_be_sent_again(customer, endpoint, receiver):
    operator = sign_in(make_user(is_staff=True, is_superuser=True))
    receiver.answers = [410]
    tell(customer)
    send()
    message = WebhookMessage.objects.get()
    for model, row in (("endpoint", endpoint), ("message", message), ("delivery", message.deliveries.get())):
        for page in (f"{ADMIN}/webhook{model}/", f"{ADMIN}/webhook{model}/{row.pk}/change/"):
            answer = operator.get(page)
            assert answer.status_code == 200, page
            assert endpoint.secret not in answer.content.decode()
    again = {"action": "retry", "_selected_action": [str(message.id)]}
    operator.post(f"{ADMIN}/webhookmessage/", again)
    assert send() == (0, 0)  # its endpoint is off
    operator.post(f"{ADMIN}/webhookendpoint/", {"action": "switch_on", "_selected_action": [str(endpoint.id)]})
    assert send() == (1, 0)
    operator.post(f"{ADMIN}/webhookmessage/", again)
    assert send() == (0, 0)  # what was delivered is not sent twice
    operator.post(f"{ADMIN}/webhookendpoint/", {"action": "switch_off", "_selected_action": [str(endpoint.id)]})
    assert WebhookEndpoint.objects.get().off_reason == "switched_off"
