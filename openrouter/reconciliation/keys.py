"""Per key: the sum of our recorded costs against the key's lifetime usage."""

import time
from collections.abc import Mapping
from decimal import Decimal

from core.money import ZERO, quantize
from openrouter.client import Key, OpenRouterClient, ProviderNotFound
from openrouter.models import DifferenceScope
from openrouter.reconciliation.books import Moment, OurKeys, agrees, moment
from openrouter.reconciliation.failed import price_failed_requests
from openrouter.reconciliation.findings import GATEWAY, OPERATOR, Finding, Outcome

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_RUNNING = "calls with this key are still running"
_UNKNOWN_KEY = "the provider's list does not have this key"
_NO_FINAL_USAGE = "the key was deleted at the provider before its usage was read"


def compare_keys(keys: OurKeys, client: OpenRouterClient, *, wait: float) -> tuple[Outcome, Mapping[str, Key]]:
    """Compare every key of ours, and return the provider's list for the comparison of the whole account.

    A key that differs is looked at again for up to ``wait`` seconds: the provider's sums may lag behind its answers.
    """
    outcome = Outcome()
    then = moment(keys.all)
    listed = {key.hash: key for key in client.list_keys()}
    _compare_retired(keys, then, listed, outcome)
    doubtful: dict[str, tuple[Decimal, Moment]] = {}
    for hash in keys.current:
        if hash not in listed:
            if then.cost([hash]):
                outcome.leave(DifferenceScope.KEY, hash, _UNKNOWN_KEY)
            continue
        doubtful[hash] = (quantize(listed[hash].usage), then)
    _settle(keys, doubtful, client, wait, outcome)
    return outcome, listed


def _settle(
    keys: OurKeys,
    doubtful: dict[str, tuple[Decimal, Moment]],
    client: OpenRouterClient,
    wait: float,
    outcome: Outcome,
) -> None:
    """Sort the keys, looking again at those that differ until the time is up."""
    deadline, pause = time.monotonic() + wait, _FIRST_PAUSE
    while True:
        left: dict[str, bool | None] = {}
        for hash, (theirs, then) in doubtful.items():
            verdict = agrees(theirs - then.cost([hash]), then, [hash])
            if verdict:
                outcome.agreed.add(hash)
            else:
                left[hash] = verdict
        if not left or time.monotonic() + pause > deadline:
            break
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        doubtful = {hash: _look_again(hash, client) or doubtful[hash] for hash in left}
    for hash, verdict in left.items():
        theirs, then = doubtful[hash]
        if verdict is False and theirs > then.cost([hash]) and price_failed_requests(hash, client, at=then.at):
            theirs, then = _look_again(hash, client) or doubtful[hash]
            verdict = agrees(theirs - then.cost([hash]), then, [hash])
        if verdict:
            outcome.agreed.add(hash)
        elif verdict is None:
            outcome.leave(DifferenceScope.KEY, hash, _RUNNING)
        else:
            outcome.findings.append(_finding(keys, hash, then.cost([hash]), theirs))


def _look_again(hash: str, client: OpenRouterClient) -> tuple[Decimal, Moment] | None:
    then = moment([hash])
    try:
        return quantize(client.get_key(hash).usage), then
    except ProviderNotFound:
        return None


def _finding(keys: OurKeys, hash: str, ours: Decimal, theirs: Decimal) -> Finding:
    """A shared key may be used elsewhere too, which only the operator can know; a sub-key is used by us alone."""
    organization_id = keys.current[hash] if hash in keys.current else keys.retired[hash].account.organization_id
    return Finding(
        scope=DifferenceScope.KEY,
        subject=hash,
        ours=ours,
        theirs=theirs,
        owner=OPERATOR if organization_id is None else GATEWAY,
        organization_id=organization_id,
        evidence={"key": "shared" if organization_id is None else "sub-key"},
    )


def _compare_retired(keys: OurKeys, then: Moment, listed: Mapping[str, Key], outcome: Outcome) -> None:
    """Keys on their way out, or gone: their last reading is final once they are deleted."""
    for hash, retired in keys.retired.items():
        ours = then.cost([hash])
        theirs = listed[hash].usage if hash in listed else retired.usage
        if theirs is None or retired.reason == "lost":
            if ours != (theirs or ZERO):
                outcome.leave(DifferenceScope.KEY, hash, _NO_FINAL_USAGE)
            continue
        verdict = agrees(quantize(theirs) - ours, then, [hash])
        if verdict:
            outcome.agreed.add(hash)
        elif verdict is None:
            outcome.leave(DifferenceScope.KEY, hash, _RUNNING)
        else:
            outcome.findings.append(_finding(keys, hash, ours, quantize(theirs)))
