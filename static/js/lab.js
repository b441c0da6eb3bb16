/* The prompt lab: asks for a ticket, calls the gateway with it, shows the answer as it comes, then what it has cost. */
(() => {
  "use strict";
  const form = document.getElementById("lab-form");
  if (!form) return;
  const part = (id) => document.getElementById(id);
  const words = part("lab-words").dataset;
  const model = form.elements.model;
  let running = null;

  const say = (text) => { part("spoken").textContent = text; };

  const request = () => {
    const system = form.elements.system.value;
    const messages = system.trim() ? [{ role: "system", content: system }] : [];
    messages.push({ role: "user", content: form.elements.prompt.value });
    return { model: model.value, messages, max_tokens: Number(form.elements.max_tokens.value) || 1, stream: true };
  };

  const fail = (text) => {
    const place = part("failure");
    place.hidden = false;
    place.firstElementChild.textContent = text;
  };

  /* Asked for as a part of a page, a session that has ended is a plain 401 and no login form. */
  const PART = { "HX-Request": "true" };

  const explain = async (response) => {
    try {
      const answer = await response.json();
      return (answer.error && answer.error.message) || answer.detail || response.statusText;
    } catch {
      return `${response.status} ${response.statusText}`;
    }
  };

  const ticket = async (signal) => {
    const token = form.elements.csrfmiddlewaretoken.value;
    const response = await fetch(form.dataset.ticket, { method: "POST", headers: { "X-CSRFToken": token, ...PART }, signal });
    if (response.status === 401) throw new Error(words.over);
    if (!response.ok) throw new Error(await explain(response));
    return (await response.json()).ticket;
  };

  const take = (block, show) => {
    for (const line of block.split("\n")) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice(5).trim();
      if (!data || data === "[DONE]") continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message || String(chunk.error));
      for (const choice of chunk.choices || []) show((choice.delta && choice.delta.content) || choice.text || "");
    }
  };

  const read = async (response, show) => {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) take(block, show);
    }
    if (rest) take(rest, show);
  };

  /* The books follow the last byte at once; a call whose price the provider owes us takes longer. */
  const showOutcome = async (eventId, told) => {
    const address = `${form.dataset.outcome.replace("00000000-0000-0000-0000-000000000000", eventId)}?${new URLSearchParams(told)}`;
    for (const pause of [0, 200, 500, 1000, 2000]) {
      await new Promise((resolve) => { setTimeout(resolve, pause); });
      const response = await fetch(address, { headers: PART });
      if (response.ok) {
        part("outcome").innerHTML = await response.text();
        return;
      }
      if (response.status === 401) {
        part("outcome").replaceChildren(part("lab-over").content.cloneNode(true));
        return;
      }
      if (response.status !== 404) break;
    }
    part("outcome").textContent = words.pending;
  };

  const setRunning = (on) => {
    part("run").hidden = on;
    part("stop").hidden = !on;
    part("running").hidden = !on;
    part("answer").setAttribute("aria-busy", String(on));
    (on ? part("stop") : part("run")).focus();
  };

  const run = async () => {
    if (!form.elements.prompt.value.trim()) {
      form.elements.prompt.focus();
      say(words.empty);
      return;
    }
    const figures = part("estimate-figures");
    const told = figures ? { likely: figures.dataset.likely, worst: figures.dataset.worst } : {};
    const text = part("answer-text");
    part("answer").hidden = false;
    part("failure").hidden = true;
    part("outcome").replaceChildren();
    text.textContent = "";
    running = new AbortController();
    setRunning(true);
    let eventId = "";
    try {
      const authorization = `Bearer ${await ticket(running.signal)}`;
      const response = await fetch(form.dataset.call, {
        method: "POST",
        headers: { authorization, "content-type": "application/json", "x-farebox-tags": "feature=prompt-lab" },
        body: JSON.stringify(request()),
        credentials: "omit",
        signal: running.signal,
      });
      eventId = response.headers.get("x-farebox-event-id") || "";
      if (!response.ok) throw new Error(await explain(response));
      await read(response, (piece) => { text.append(piece); });
      say(words.done);
    } catch (error) {
      fail(running.signal.aborted ? words.stopped : error instanceof TypeError ? words.lost : error.message);
    }
    setRunning(false);
    if (eventId) await showOutcome(eventId, told);
    document.body.dispatchEvent(new Event("estimate"));
  };

  const find = (wanted) => {
    for (const option of model.options) {
      const hit = `${option.value} ${option.text}`.toLowerCase().includes(wanted);
      option.hidden = !hit && !option.selected;
    }
    for (const group of model.querySelectorAll("optgroup")) group.hidden = ![...group.children].some((each) => !each.hidden);
    const first = [...model.options].find((option) => !option.hidden && `${option.value} ${option.text}`.toLowerCase().includes(wanted));
    if (wanted && first) {
      first.selected = true;
      document.body.dispatchEvent(new Event("estimate"));
    }
  };

  part("run").hidden = false;
  part("find-model").hidden = false;
  part("run").addEventListener("click", run);
  part("stop").addEventListener("click", () => { if (running) running.abort(); });
  part("find-model").addEventListener("input", (event) => { find(event.target.value.trim().toLowerCase()); event.stopPropagation(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); event.stopPropagation(); run(); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-use-model]");
    if (!button) return;
    model.value = button.dataset.useModel;
    document.body.dispatchEvent(new Event("estimate"));
    model.focus();
  });
})();
