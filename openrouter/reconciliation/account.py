"""The whole account: our recorded costs and other users' keys against ``GET /credits``."""

import time
from decimal import Decimal

from core.money import ZERO, quantize
from openrouter.client import OpenRouterClient
from openrouter.models import DifferenceScope
from openrouter.reconciliation.books import Moment, OurKeys, agrees, moment
from openrouter.reconciliation.findings import OPERATOR, Finding, Outcome
from openrouter.upstreams import Upstream

_PAUSE = 1.0
_RUNNING = "calls are still running"


def compare_account(upstream: Upstream, keys: OurKeys, client: OpenRouterClient, *, wait: float) -> Outcome:
    """Compare what the account has used in all with what its keys have.

    Keys that are not ours count with their own usage. What was used by keys deleted before we came is a difference that
    stays the same; the operator explains it once.
    """
    outcome = Outcome()
    deadline = time.monotonic() + wait
    while True:
        then = moment(keys.all)
        others = _others_usage(keys, client)
        total = quantize(client.credits().total_usage)
        # Foreign calls that end between the two readings would look like ours: the second reading must agree.
        verdict = agrees(total - others - then.cost(keys.all), then, keys.all)
        if verdict is False and _others_usage(keys, client) != others:
            verdict = None
        if verdict or time.monotonic() + _PAUSE > deadline:
            break
        time.sleep(_PAUSE)
    if verdict:
        outcome.agreed.add(upstream.name)
    elif verdict is None:
        outcome.leave(DifferenceScope.ACCOUNT, upstream.name, _RUNNING)
    else:
        outcome.findings.append(_finding(upstream, then, keys, others, total))
    return outcome


def _others_usage(keys: OurKeys, client: OpenRouterClient) -> Decimal:
    ours = keys.all
    return quantize(sum((key.usage for key in client.list_keys() if key.hash not in ours), ZERO))


def _finding(upstream: Upstream, then: Moment, keys: OurKeys, others: Decimal, total: Decimal) -> Finding:
    return Finding(
        scope=DifferenceScope.ACCOUNT,
        subject=upstream.name,
        ours=then.cost(keys.all) + others,
        theirs=total,
        owner=OPERATOR,
        evidence={"keys": len(keys.all), "used_by_other_keys": str(others)},
    )
