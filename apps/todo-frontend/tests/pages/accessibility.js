// Returns what is wrong with the page: names, labels, headings, landmarks,
// references, focus order, target sizes, contrast.
(() => {
  const wrong = [];
  const say = (element, text) => wrong.push(`${text}: ${element.outerHTML.slice(0, 120)}`);
  const shown = (element) => element.checkVisibility({ visibilityProperty: true });
  const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
  const text = (element) => (element.getAttribute("aria-label") ?? element.innerText ?? "").trim();

  if (!document.documentElement.lang) wrong.push("the page names no language");
  if (!document.title) wrong.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) wrong.push("there must be one main part");
  if (document.querySelectorAll("h1").length !== 1) wrong.push("there must be one first heading");
  for (const element of all("a[href], button, summary")) {
    const label = text(element) || [...element.querySelectorAll("img")].map((image) => image.alt).join("");
    if (!label) say(element, "no name");
  }
  for (const element of all("input:not([type=hidden]), select, textarea")) {
    if (!element.labels?.length && !element.getAttribute("aria-label")) say(element, "no label");
  }
  for (const element of document.querySelectorAll("img:not([alt])")) say(element, "no alternative text");
  // Headings go down one step at a time (WCAG 2.2, 1.3.1).
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6").filter((one) => !one.closest("[aria-hidden=true]"))) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) say(heading, `a heading of level ${next} after one of level ${level}`);
    level = next;
  }
  // All that can be seen stands in a landmark, and landmarks of one kind have names.
  for (const child of document.body.children) {
    const landmark = child.matches("header, main, footer, nav, aside, script, .skip, .toasts, .panel, .fab");
    if (!landmark && shown(child)) say(child, "outside of all landmarks");
  }
  const navigations = all("nav, [role=search], aside").map((one) => one.getAttribute("aria-label") ?? one.getAttribute("role"));
  if (new Set(navigations).size !== navigations.length || navigations.includes(null)) wrong.push(`landmarks without names of their own: ${navigations}`);
  // References lead somewhere; order and zoom are left alone.
  for (const name of ["aria-describedby", "aria-labelledby", "aria-controls", "for", "popovertarget"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      for (const id of element.getAttribute(name).split(/\s+/)) if (!document.getElementById(id)) say(element, `${name} leads nowhere`);
    }
  }
  for (const element of document.querySelectorAll("[tabindex]")) if (element.tabIndex > 0) say(element, "changes the order of focus");
  if (/user-scalable=no|maximum-scale/.test(document.querySelector("meta[name=viewport]")?.content ?? "")) wrong.push("zoom is forbidden");
  for (const element of all("input[type=email], input[type=password]")) if (!element.autocomplete) say(element, "no autocomplete");
  for (const element of document.querySelectorAll("[aria-hidden=true] :is(a[href], button, input, select)")) say(element, "hidden, yet it takes the focus");
  for (const list of document.querySelectorAll("ul, ol")) {
    for (const child of list.children) if (!child.matches("li, script, template")) say(child, "no item of its list");
  }
  // Targets have 24 by 24 pixels (2.5.8); those within a sentence are let be.
  for (const element of all("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
    if (element.closest(".hidden, .skip, p, td") || element.matches("input[type=checkbox], input[type=radio]")) continue;
    const { width, height } = element.getBoundingClientRect();
    if (Math.round(width) < 24 || Math.round(height) < 24) say(element, `only ${Math.round(width)} by ${Math.round(height)} pixels`);
  }

  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) wrong.push(`the id ${id} is there twice`);

  // Contrast of text (WCAG 2.2, 1.4.3), colours read back from a canvas.
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const mix = (colours) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const backdrop = (element) => {
    const colours = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      colours.unshift(style.backgroundColor);
      if (mix([style.backgroundColor])[3] === 255) break;
    }
    return ["white", ...colours];
  };
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || judged.has(element) || !shown(element)) continue;
    if (element.closest(".hidden, .skip, [aria-hidden=true]")) continue;
    judged.add(element);
    const behind = backdrop(element);
    if (!behind) continue;
    const style = getComputedStyle(element);
    const [one, two] = [light(mix([...behind, style.color])), light(mix(behind))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) say(element, `contrast ${ratio.toFixed(2)}`);
  }
  return wrong;
})()
