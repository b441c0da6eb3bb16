// The unmodified @polar-sh/sdk, which hands answers on as they are.
import assert from "node:assert/strict";
import { createPolar } from "@polar-sh/sdk/2026-10";

const polar = createPolar({ accessToken: process.env.SPAIRE_ACCESS_TOKEN, baseUrl: `${process.env.FAREBOX_URL}/sandbox` });

const meter = await polar.meters.create({
  name: "api-calls",
  filter: { conjunction: "and", clauses: [{ property: "name", operator: "eq", value: "api-call" }] },
  aggregation: { func: "count" },
});
const event = { name: "api-call", external_customer_id: "user_42", metadata: { endpoint: "/chat" } };
assert.deepEqual(await polar.events.ingest({ events: [event, event] }), { inserted: 2, duplicates: 0 });
await polar.customers.create({ email: "user_42@example.com", external_id: "user_42" });
const free = await polar.products.create({
  name: "Free",
  recurring_interval: "month",
  prices: [{ amount_type: "free", price_currency: "usd" }],
});
assert.equal(free.prices[0].amount_type, "fixed"); // what this client can read
assert.equal(free.prices[0].price_amount, 0);

// The guide's balance utility runs here: nothing drops the meter's name.
const state = await polar.customers.getStateExternal("user_42");
const balances = state.active_meters.map((each) => ({ meter: each.meter.name, balance: each.balance }));
assert.deepEqual(balances, [{ meter: "api-calls", balance: -2 }]);
assert.equal((await polar.customerMeters.list({ meter_id: meter.id })).items[0].consumed_units, 2);
