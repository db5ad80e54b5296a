// Small comforts; every page works without them.
"use strict";

const root = document.documentElement;
root.classList.add("scripted");

// The browser knows the time zone; the server asks for it in a cookie.
if (!/(^|; )todo_zone=/.test(document.cookie)) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `todo_zone=${zone}; Path=/; SameSite=Lax; Max-Age=31536000`;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
});

// Forms of the task list change the list in place; a line says what was done.
async function swap(form) {
  const sent = new URLSearchParams(new FormData(form));
  const { action } = form;
  const { said, undo } = form.dataset;
  const title = form.dataset.title ?? sent.get("title") ?? "";
  const answer = await post(action, sent);
  if (answer.ok && said) toast(said, title, undo, () => post(action, sent));
}

async function post(action, sent) {
  const answer = await fetch(action, { method: "POST", body: sent });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!replaceParts(page)) location.href = answer.url;
  return answer;
}

function toast(said, title, undo, back) {
  const region = document.getElementById("toasts");
  const line = element("div", "toast");
  const text = element("span", "", `${said}: `);
  text.append(element("bdi", "", title));
  line.append(text);
  if (undo) {
    const button = element("button", "", undo);
    button.type = "button";
    button.addEventListener("click", async () => { line.remove(); await back(); });
    line.append(button);
  }
  region.replaceChildren(line);
  // It stays while someone is at it.
  const leave = () => { if (line.matches(":hover, :focus-within")) setTimeout(leave, 2000); else line.remove(); };
  setTimeout(leave, 7000);
}

// Who used the keyboard goes on where they were.
function keepFocus(row, name) {
  const rows = [...document.querySelectorAll(".groups .task")];
  const next = rows[Math.min(row, rows.length - 1)];
  (next?.querySelector(name) ?? document.getElementById("title"))?.focus();
}

function replaceParts(page) {
  let found = false;
  for (const id of ["view", "counts", "conversations", "forget"]) {
    const fresh = page.getElementById(id);
    const old = document.getElementById(id);
    if (fresh && old) { old.replaceWith(fresh); found = true; }
  }
  return found;
}

async function refresh() {
  const answer = await fetch(location.href);
  replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches("[data-swap]")) {
    event.preventDefault();
    const adding = form.matches(".adder");
    const row = [...document.querySelectorAll(".groups .task")].indexOf(form.closest(".task"));
    const name = form.querySelector(".bin") ? ".bin" : ".tick";
    try { await swap(form); } catch { form.submit(); return; }
    if (adding) document.getElementById("title")?.focus();
    else keepFocus(row, name);
  } else if (form.matches("[data-chat]")) {
    event.preventDefault();
    const field = form.elements.message;
    const text = field.value.trim();
    // One turn after the other: each goes on where the one before ended.
    if (text && !form.dataset.busy) { field.value = ""; await converse(form, text); field.focus(); }
  }
});

// The menu of the account closes like every menu.
const menu = document.querySelector("details.account");
if (menu) {
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) { menu.open = false; menu.querySelector("summary").focus(); }
  });
}

// The assistant: the answer streams in.
document.addEventListener("click", (event) => {
  const say = event.target.closest("[data-say]");
  const form = document.querySelector("main [data-chat]");
  if (say && form) { event.preventDefault(); if (!form.dataset.busy) converse(form, say.dataset.say); }
});

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text) made.textContent = text;
  return made;
}

function addMessage(list, mine) {
  list.querySelector(".hello")?.remove();
  const item = element("li", mine ? "message mine" : "message");
  const bubble = element("div", mine ? "bubble user" : "bubble");
  item.append(bubble);
  list.append(item);
  item.scrollIntoView({ block: "nearest" });
  return { item, bubble };
}

function deed(call) {
  if (call.tool === "ask_user") return null;
  const result = call.result;
  if (Array.isArray(result)) return `${call.tool} → ${result.length}`;
  if (result && result.task_id) return `${call.tool} → #${result.task_id} ${result.title ?? ""}`;
  return call.tool;
}

async function converse(form, text) {
  const list = form.parentElement.querySelector("[data-messages]");
  const place = form.querySelector("[data-conversation]");
  addMessage(list, true).bubble.textContent = text;
  const { item, bubble } = addMessage(list, false);
  item.classList.add("thinking");
  const fail = (detail) => { bubble.textContent = detail; item.classList.add("failed"); };
  form.dataset.busy = "yes";
  const onItsPage = form.closest("main .thread") !== null;
  let changed = false;
  try {
    const answer = await fetch("/api/chat", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({ message: text, conversation_id: place.value ? Number(place.value) : null }),
    });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) { fail((await answer.json()).detail); return; }
    for await (const [name, data] of events(answer.body)) {
      if (name === "token") { item.classList.remove("thinking"); bubble.textContent += data.text; }
      if (name === "tool_call") {
        const said = deed(data);
        if (said) bubble.before(element("span", "deed", said));
        changed ||= data.tool !== "list_tasks";
      }
      if (name === "done") {
        bubble.textContent = data.response;
        item.append(element("span", "provider", `${data.provider} · ${data.model}`));
        place.value = data.conversation_id;
        // The address names the conversation, so that a reload comes back to it.
        if (onItsPage) { history.replaceState(null, "", `/chat?c=${data.conversation_id}`); changed = true; }
      }
      if (name === "error") fail(data.detail);
      item.scrollIntoView({ block: "nearest" });
    }
  } catch {
    fail("The assistant cannot be reached. Try again.");
  } finally {
    item.classList.remove("thinking");
    delete form.dataset.busy;
    if (changed) refresh();
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const event = rest.slice(0, end);
      rest = rest.slice(end + 2);
      const name = /^event: (.*)$/m.exec(event)?.[1];
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (name && data) yield [name, JSON.parse(data)];
    }
  }
}

// Speaking, where the browser can listen.
const Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition;
if (Recognition) {
  for (const button of document.querySelectorAll("[data-speak]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const listener = new Recognition();
      listener.lang = root.lang === "ur" ? "ur-PK" : navigator.language;
      listener.onresult = (event) => { button.form.elements.message.value = event.results[0][0].transcript; };
      listener.onend = () => button.classList.remove("listening");
      button.classList.add("listening");
      listener.start();
    });
  }
}

// The status page asks once a second and draws a dot for each answer.
const live = document.querySelector("[data-live]");
if (live) {
  const dots = live.querySelector("[data-dots]");
  const text = live.querySelector("[data-live-text]");
  const pods = [];
  setInterval(async () => {
    if (document.hidden) return;
    let seen = { backend: null, status: "away" };
    try { seen = await (await fetch("/status/live")).json(); } catch { /* drawn as away */ }
    const key = seen.backend ? `${seen.frontend} → ${seen.backend}` : "no answer";
    if (!pods.includes(key)) pods.push(key);
    const dot = element("span", seen.backend ? `dot d${pods.indexOf(key) % 6}` : "dot away");
    dot.title = key;
    dots.append(dot);
    while (dots.children.length > 60) dots.firstChild.remove();
    text.textContent = key;
  }, 1000);
}
