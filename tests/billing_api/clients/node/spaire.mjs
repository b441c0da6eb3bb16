// The guide with the unmodified @spaire/sdk; only the address differs. An assertion that fails ends the process.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { Spaire } from "@spaire/sdk";
import { HTTPValidationError } from "@spaire/sdk/models/errors/httpvalidationerror.js";
import { PaymentError } from "@spaire/sdk/models/errors/paymenterror.js";
import { ResourceNotFound } from "@spaire/sdk/models/errors/resourcenotfound.js";

const spaire = new Spaire({ accessToken: process.env.SPAIRE_ACCESS_TOKEN, serverURL: `${process.env.FAREBOX_URL}/` });

async function itemsOf(pages) {
  const found = [];
  for await (const page of await pages) found.push(...(page.result?.items ?? page.items));
  return found;
}

// Phase 3 of the guide: the meter.
const meter = await spaire.meters.create({
  name: "llm-token-usage",
  filter: { conjunction: "and", clauses: [{ property: "name", operator: "eq", value: "llm-usage" }] },
  aggregation: { func: "sum", property: "totalTokens" },
});
assert.equal(meter.aggregation.property, "totalTokens");

// Phase 4: events. The guide puts the application's own user id into customerId.
async function trackUsage(customerId, totalTokens, externalId) {
  return spaire.events.ingest({
    events: [{ name: "llm-usage", customerId, externalId, metadata: { totalTokens, model: "m", ok: true, seconds: 0.5 } }],
  });
}
assert.deepEqual(await trackUsage("user_42", 300, "req-1"), { inserted: 1, duplicates: 0 });
assert.deepEqual(await trackUsage("user_42", 300, "req-1"), { inserted: 0, duplicates: 1 });
assert.deepEqual(await spaire.events.ingest({ events: [] }), { inserted: 0, duplicates: 0 });

// Phase 5 and 6: a metered price and credits.
const product = await spaire.products.create({
  name: "Pro",
  recurringInterval: "month",
  prices: [
    { amountType: "fixed", priceAmount: 1000, priceCurrency: "usd" },
    { amountType: "metered_unit", priceCurrency: "usd", meterId: meter.id, unitAmount: "0.5", capAmount: 200 },
  ],
});
const benefit = await spaire.benefits.create({
  type: "meter_credit",
  description: "1000 tokens",
  properties: { units: 1000, rollover: true, meterId: meter.id },
});
const complete = await spaire.products.updateBenefits({
  id: product.id,
  productBenefitsUpdate: { benefits: [benefit.id] },
});
assert.equal(complete.benefits[0].properties.units, 1000);
assert.equal(complete.prices[1].unitAmount, "0.5");

// Phase 8: a test checkout, declined first.
const checkout = await spaire.checkouts.create({ products: [product.id], externalCustomerId: "user_42" });
const confirm = (confirmationTokenId) =>
  spaire.checkouts.clientConfirm({
    clientSecret: checkout.clientSecret,
    checkoutConfirmStripe: { confirmationTokenId, customerEmail: "user_42@example.com" },
  });
await assert.rejects(confirm("ctoken_test_decline"), PaymentError);
assert.equal((await confirm("ctoken_test_success")).status, "confirmed");
assert.equal((await spaire.checkouts.get({ id: checkout.id })).status, "succeeded");
assert.equal((await spaire.checkouts.clientGet({ clientSecret: checkout.clientSecret })).product.name, "Pro");

// The state, as soon as ingest has answered.
await trackUsage("user_42", 1100);
const state = await spaire.customers.getStateExternal({ externalId: "user_42" });
assert.equal(state.activeMeters[0].consumedUnits, 1100);
assert.equal(state.activeMeters[0].creditedUnits, 1000);
assert.equal(state.activeMeters[0].balance, -100);
assert.equal(state.activeSubscriptions[0].meters[0].amount, 50);
assert.equal(state.grantedBenefits[0].benefitType, "meter_credit");
const [mine] = await itemsOf(spaire.customerMeters.list({ externalCustomerId: "user_42" }));
assert.deepEqual([mine.meter.name, mine.balance], ["llm-token-usage", -100]);

// Renewal by moving the end of the period.
const [subscription] = await itemsOf(spaire.subscriptions.list({ externalCustomerId: ["user_42"], active: true }));
assert.equal(subscription.meters[0].meter.name, "llm-token-usage");
await spaire.subscriptions.update({
  id: subscription.id,
  subscriptionUpdate: { currentBillingPeriodEnd: new Date(Date.now() + 800) },
});
await pause(1900);
const orders = await itemsOf(spaire.orders.list({ customerId: state.id }));
assert.deepEqual(orders.map((order) => [order.billingReason, order.totalAmount, order.paid]), [
  ["subscription_cycle", 1050, true],
  ["subscription_create", 1000, true],
]);
const revoked = await spaire.subscriptions.revoke({ id: subscription.id });
assert.equal(revoked.status, "canceled");
const grants = await spaire.benefits.grants({ id: benefit.id });
for await (const page of grants) assert.ok(page.result.items.every((grant) => grant.isRevoked));

// Lists, filters, errors; ids with a slash.
const events = await spaire.events.list({ customerId: state.id, source: "user", metadata: { model: "m" } });
const listed = events.result?.items ?? events.items ?? (await itemsOf(events));
assert.equal(listed.length, 2);
assert.equal(listed[0].metadata.ok, true);
await spaire.customers.create({ email: "team@example.com", externalId: "team/a b/state", metadata: { seats: 3 } });
const odd = await spaire.customers.getExternal({ externalId: "team/a b/state" });
assert.equal(odd.externalId, "team/a b/state");
const fresh = await spaire.customers.getStateExternal({ externalId: "team/a b/state" });
assert.deepEqual([fresh.activeMeters, fresh.activeSubscriptions, fresh.grantedBenefits], [[], [], []]);
await assert.rejects(spaire.meters.get({ id: state.id }), ResourceNotFound);
await assert.rejects(
  spaire.events.ingest({ events: [{ name: "n", customerId: "01980000-0000-7000-8000-000000000000" }] }),
  (error) => {
    assert.ok(error instanceof HTTPValidationError, String(error));
    assert.deepEqual(error.detail[0].loc, ["body", "events", 0, "customer_id"]);
    return true;
  },
);
const quantities = await spaire.meters.quantities({
  id: meter.id,
  startTimestamp: new Date(Date.now() - 3_600_000),
  endTimestamp: new Date(Date.now() + 3_600_000),
  interval: "day",
});
assert.equal(quantities.total, 1400);
const token = await spaire.organizationAccessTokens.create({ comment: "ingestion", scopes: ["events:write"] });
assert.ok(token.token.startsWith("fbx_test_"));
await spaire.organizationAccessTokens.delete({ id: token.organizationAccessToken.id });
const names = await itemsOf(spaire.events.listNames({}));
assert.deepEqual(names.map((each) => [each.name, each.occurrences]), [["llm-usage", 2]]);
const [labelled] = await itemsOf(spaire.eventTypes.list({ source: "user" }));
assert.equal((await spaire.eventTypes.update({ id: labelled.id, eventTypeUpdate: { label: "Tokens" } })).label, "Tokens");
const refund = await spaire.refunds.create({ orderId: orders[0].id, reason: "duplicate", amount: 50 });
assert.deepEqual([refund.status, refund.amount], ["succeeded", 50]);
const session = await spaire.customerSessions.create({ customerId: state.id });
assert.ok(session.customerPortalUrl.endsWith(session.token));
