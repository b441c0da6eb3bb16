/* What a page does beyond plain HTML. Everything here may be missing: forms still submit, menus still open. */
(() => {
  "use strict";
  const YEAR = 31536000;
  const root = document.documentElement;

  const remember = (name, value) => {
    const secure = location.protocol === "https:" ? "; secure" : "";
    const age = value ? YEAR : 0;
    document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${age}; samesite=lax${secure}`;
  };

  const recall = (name) => document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1);

  /* Times are shown in this zone to people who have not set one. */
  const noteZone = () => {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone && recall("tz") !== encodeURIComponent(zone)) remember("tz", zone);
  };

  const chooseTheme = (event) => {
    const button = event.submitter;
    if (!event.target.matches("[data-theme-form]") || !button) return;
    event.preventDefault();
    const theme = button.value === "system" ? "" : button.value;
    remember("theme", theme);
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    for (const form of document.querySelectorAll("[data-theme-form]")) {
      for (const each of form.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each.value === button.value));
    }
  };

  const say = (text) => {
    const region = document.getElementById("spoken");
    if (region) region.textContent = text;
  };

  /* A word about something that just happened: document.dispatchEvent(new CustomEvent("toast", {detail: {text, tone}})). */
  const TOAST = 6000;
  const toast = ({ text, tone = "", stays = false }) => {
    const holder = document.getElementById("toasts");
    if (!holder) return;
    const note = document.createElement("p");
    note.className = `toast ${tone && `toast-${tone}`}`.trim();
    note.textContent = text;
    holder.append(note);
    if (!stays) setTimeout(() => note.remove(), TOAST);
  };
  document.addEventListener("toast", (event) => toast(event.detail));

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const label = button.querySelector("[data-label]");
    const before = label.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      label.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(source);
      label.textContent = button.dataset.failed;
    }
    say(label.textContent);
    setTimeout(() => { label.textContent = before; }, 2000);
  };

  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    event.target.closest("[data-dismiss]")?.closest(".message").remove();
    const choice = event.target.closest("[data-check-all], [data-check-none]");
    for (const box of choice?.closest("[data-check-group]").querySelectorAll("input[type=checkbox]") ?? []) box.checked = "checkAll" in choice.dataset;
    closeMenus(event.target.closest("details.menu"));
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = event.target.closest("details.menu[open]");
    closeMenus(null);
    menu?.querySelector("summary").focus();
  });

  /* A form is sent once, however often its button is pressed. */
  document.addEventListener("submit", (event) => {
    chooseTheme(event);
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
  });

  /* ---------------------------------------------------------------- live parts
     A region with data-live asks for news while its page is visible; a hidden tab costs nothing. */
  const EVERY = 1500; // with the answer's own time, a change shows within two seconds
  const region = () => document.querySelector("[data-live]");
  const ask = () => { if (!document.hidden && region()) htmx.trigger(region(), "live"); };
  const pause = (paused) => {
    for (const light of document.querySelectorAll(".live")) {
      light.hidden = false;
      light.classList.toggle("is-paused", paused);
      light.textContent = paused ? light.dataset.paused : light.dataset.running;
    }
  };

  const figures = () => new Map([...document.querySelectorAll("[data-figure]")].map((each) => [each.dataset.figure, each.textContent]));
  const newest = () => document.querySelector("#recent .row-link")?.id;
  let before = new Map();
  let newestBefore;

  const showChanges = () => {
    for (const each of document.querySelectorAll("[data-figure]")) {
      const old = before.get(each.dataset.figure);
      if (old !== undefined && old !== each.textContent) each.classList.add("is-changed");
    }
    const spoken = document.querySelector("[data-spoken]");
    if (spoken && before.get("balance") !== figures().get("balance")) say(spoken.dataset.spoken);
  };

  const startLive = () => {
    if (!region() || !window.htmx) return;
    pause(false);
    setInterval(ask, EVERY);
    document.addEventListener("visibilitychange", ask);
    document.body.addEventListener("htmx:beforeSwap", () => { before = figures(); newestBefore = newest(); });
    document.body.addEventListener("htmx:afterSettle", () => {
      pause(false);
      showChanges();
      // The first call of these days: what was empty is a chart now.
      if (document.querySelector("[data-until-used]") && newest() !== newestBefore) location.reload();
    });
    document.body.addEventListener("htmx:afterRequest", (event) => { pause(!event.detail.successful); });
  };

  /* A part that is refused: the session ended, or the form's token is another person's. What was typed is not lost. */
  const hasTyped = () => [...document.querySelectorAll("main textarea, main input:not([type=hidden])")].some((each) => each.value !== each.defaultValue);
  let refused = false;
  const startRefusals = () => document.body.addEventListener("htmx:responseError", (event) => {
    const words = { 401: "signedOut", 403: "outdated" }[event.detail.xhr.status];
    if (!words || refused) return;
    refused = true;
    if (hasTyped()) toast({ text: document.getElementById("toasts").dataset[words], tone: "bad", stays: true });
    else location.reload();
  });

  /* The menu scrolls by itself: the page that is read is in sight. */
  const showPlace = () => {
    const menu = document.querySelector(".sidebar .nav");
    const here = menu?.querySelector("[aria-current]");
    if (here) menu.scrollTop = Math.max(0, here.offsetTop - menu.offsetTop - menu.clientHeight / 2);
  };

  for (const each of document.querySelectorAll("[data-check-all], [data-check-none]")) each.hidden = false;
  noteZone();
  showPlace();
  startLive();
  startRefusals();
})();
