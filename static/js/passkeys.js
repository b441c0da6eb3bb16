/* Joins a form to the browser's passkeys: data-passkey names what the form is for, data-ids its parts. */
(() => {
  "use strict";
  for (const form of document.querySelectorAll("[data-passkey]")) {
    window.allauth.webauthn.forms[form.dataset.passkey]({ ids: JSON.parse(form.dataset.ids) });
  }
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const place = document.querySelector("[data-passkey-error]");
    if (place) place.hidden = false;
  });
})();
