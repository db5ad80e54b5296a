// Small comforts; every page works without them.
"use strict";
document.documentElement.classList.add("scripted");
for (const field of document.querySelectorAll("[data-submit-on-change]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
