"""News from accounts to the apps that build on it.

Receivers run in the transaction of the change and may refuse it.
"""

from django.dispatch import Signal

# organization, test_twin, tier_slug (None: the default), is_signup (a person signed up by themselves), at
organization_created = Signal()

# organization_ids, at: before they are suspended or let go on. What was due until ``at`` belongs to the time before.
suspension_changing = Signal()

# api_key, at. ``api_key.spend_limit_id`` names the counter of its spend limit; a successor shares its
# predecessor's.
api_key_saved = Signal()

# type, organization_id, data, actor, at: an audit-worthy fact
account_changed = Signal()

# key, recipient, subject, body, organization_id, at: a message to be written in the transaction of what it tells of
mail_wanted = Signal()
