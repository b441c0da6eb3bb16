/* What the back office's stock pages lack for keyboards and screen readers. */

const tidy = () => {
  // Search-as-you-type fields take their name from their label.
  for (const select of document.querySelectorAll("select.admin-autocomplete[id]")) {
    const label = document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
    const field = select.nextElementSibling;
    if (!label || !field?.classList.contains("select2")) continue;
    label.id ||= `${select.id}_label`;
    const value = field.querySelector(".select2-selection__rendered")?.id ?? "";
    for (const part of field.querySelectorAll('[role="combobox"], [role="textbox"]')) {
      part.setAttribute("aria-labelledby", `${label.id} ${value}`.trim());
    }
  }
  for (const hint of document.querySelectorAll(".search-label-icon")) hint.role = "img";
  // What scrolls sideways can be reached without a mouse.
  for (const box of document.querySelectorAll(".module, .results")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
};

addEventListener("DOMContentLoaded", () => {
  tidy();
  new MutationObserver(tidy).observe(document.body, { childList: true, subtree: true });
});
addEventListener("resize", tidy);
