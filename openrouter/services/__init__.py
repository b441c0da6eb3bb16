"""Every write of the provider side.

``lifecycle`` decides (rows only, in transactions), ``provisioning`` tells the provider (never in a transaction),
``syncing`` and ``limits`` keep the two sides in step, ``byok`` looks after customers' own keys, ``routing`` keeps
the operator's rules for calls, ``own_calls`` are those that Farebox makes and pays for itself.
"""

from openrouter.services.byok import remove_byok, store_byok, verify_byok
from openrouter.services.catalogue import sync_catalogue
from openrouter.services.encryption import reencrypt_secrets, secrets_by_key
from openrouter.services.lifecycle import (
    delete_account,
    disable_account,
    enable_account,
    open_account,
    request_account,
    rotate_key,
)
from openrouter.services.limits import follow_limit, follow_limits
from openrouter.services.own_calls import ask_as_platform
from openrouter.services.provisioning import advance_account, advance_due, delete_retired_keys
from openrouter.services.routing import check_routing_rule, delete_routing_rule, save_routing_rule
from openrouter.services.syncing import sync_account, sync_balance, sync_upstream

__all__ = [
    "advance_account",
    "advance_due",
    "ask_as_platform",
    "check_routing_rule",
    "delete_account",
    "delete_retired_keys",
    "delete_routing_rule",
    "disable_account",
    "enable_account",
    "follow_limit",
    "follow_limits",
    "open_account",
    "reencrypt_secrets",
    "remove_byok",
    "request_account",
    "rotate_key",
    "save_routing_rule",
    "secrets_by_key",
    "store_byok",
    "sync_account",
    "sync_balance",
    "sync_catalogue",
    "sync_upstream",
    "verify_byok",
]
