"use strict";
// The gallery of mistakes: filtered, sorted and drawn a few at a time. All text is set as text, never as markup.
(() => {
  const STEP = 24;
  const PRINTED = 200;
  const FILTERS = {
    slice: (one, value) => (value === "none" ? !one.slices : (one.slices || []).includes(Number(value))),
    pair: (one, value) => one.pair === Number(value),
    cause: (one, value) => tests(one).some((test) => test.kind === value),
    verdict: (one, value) => (value === "none" ? !one.causes : tests(one).some((test) => test.outcome === value)),
    fixed: (one, value) => {
      const fixed = one.fixed || [];
      if (value === "any") return fixed.length > 0;
      if (value === "none") return fixed.length === 0;
      return value.startsWith("not-") ? !fixed.includes(Number(value.slice(4))) : fixed.includes(Number(value));
    },
    label: (one, value) => (value === "suspect") === Boolean(one.critique && one.critique.suspect),
  };
  const SORTS = {
    sure: (a, b) => b.p - a.p,
    unsure: (a, b) => a.p - b.p,
    path: (a, b) => (a.path || "").localeCompare(b.path || "", "en", { numeric: true }),
    id: (a, b) => (a.id < b.id ? -1 : 1),
  };

  const find = (id) => document.getElementById(id);
  const parse = (id) => (find(id) ? JSON.parse(find(id).textContent) : null);
  const data = parse("gallery-data") || { cases: [], causes: [], slices: [], arms: [] };
  const pictures = parse("picture-data") || [];
  const places = new Map(data.cases.map((one, place) => [one.id, place]));
  const tests = (one) => (one.causes || []).map((number) => data.causes[number]);
  const percent = (share) => `${Math.round(100 * share)} %`;

  // Elements -------------------------------------------------------------------------------------------------------

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }

  function image(number, alt, name) {
    const picture = pictures[number];
    if (!Array.isArray(picture)) {
      const reason = picture || "cannot be read";
      return make("span", { class: `blank ${name || ""}`, role: "img", "aria-label": `${alt}: ${reason}` }, reason);
    }
    return make("img", { class: name, src: picture[0], width: picture[1], height: picture[2], alt, decoding: "async" });
  }

  function withHeat(one, name) {
    const heat = Array.isArray(pictures[one.heat]) ? image(one.heat, "", "heat") : "";
    const base = image(one.image, describe(one) + (heat ? `, with its heatmap: ${explained(one)}` : ""), "base");
    return make("span", { class: `stack ${heat ? "" : "plain"} ${name || ""}` }, base, heat);
  }

  const describe = (one) => `Guide image of class ${one.label}, predicted ${one.predicted}`;

  function explained(one) {
    if (one.flat) return "no signal: the map is empty or constant";
    if (one.heat === undefined) return "";
    if (one.explains === "prediction") return `heat explains “${one.predicted}”`;
    return one.explains ? "heat is the same for every class" : "heatmap";
  }

  function button(text, attributes, act) {
    const element = make("button", { type: "button", ...attributes }, text);
    element.addEventListener("click", act);
    return element;
  }

  const fact = (name, ...value) => make("div", {}, make("dt", {}, name), make("dd", {}, ...value));

  async function copy(element) {
    const text = element.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", { class: "unseen", "aria-hidden": "true" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    element.dataset.done = "";
    announce("Copied.");
    setTimeout(() => delete element.dataset.done, 1500);
  }

  const announce = (text) => { find("said").textContent = text; };

  // One mistake ----------------------------------------------------------------------------------------------------

  function card(one) {
    const isOpen = opened.has(one.id);
    const title = make("h3", { id: `title-${one.id}` },
      make("a", { href: `#mistake-${one.id}` }, one.label, " ", make("span", { class: "muted" }, "predicted"), " ", one.predicted),
      " ", make("span", { class: "count" }, percent(one.p)));
    const toggle = button(isOpen ? "Less" : "More", { class: "toggle", "aria-expanded": String(isOpen), "aria-describedby": `title-${one.id}` },
      () => { open(one.id, !opened.has(one.id)); });
    const element = make("article",
      { class: isOpen ? "mistake open" : "mistake", id: `mistake-${one.id}`, "aria-labelledby": `title-${one.id}`, tabindex: "-1" },
      one.image === undefined ? null : face(one), make("div", { class: "about" }, title, badges(one), summary(one, isOpen), toggle),
      isOpen ? details(one) : null);
    element.dataset.id = one.id;
    return element;
  }

  function face(one) {
    const enlarge = button("", { class: "enlarge", title: "Enlarge" }, () => zoom(one));
    enlarge.append(withHeat(one));
    return make("figure", { class: "face" }, enlarge, explained(one) ? make("figcaption", {}, explained(one)) : null);
  }

  function badges(one) {
    const found = tests(one).map((test) => make("li", { class: `badge ${test.outcome}` }, `${test.outcome}: ${test.kind}`));
    if (one.critique && one.critique.suspect) found.push(make("li", { class: "badge suspect" }, "label looks wrong"));
    if (one.fixed) found.push(make("li", { class: "badge fixed" }, `fixed by ${one.fixed.length} of ${data.arms.length} arms`));
    return found.length ? make("ul", { class: "badges" }, found) : null;
  }

  function summary(one, isOpen) {
    const cause = one.critique && one.critique.cause;
    if (cause) return make("p", { class: isOpen ? "cause" : "cause clamp" }, cause);
    return (one.failures || []).length ? make("p", { class: "muted" }, `${one.failures[0][0]} failed: ${one.failures[0][1]}`) : null;
  }

  function details(one) {
    return make("div", { class: "details" }, [looks(one), critique(one), cause(one), news(one), origin(one)]);
  }

  function looks(one) {
    if (one.image === undefined) return null;
    const parts = [make("figure", {}, image(one.image, describe(one), "guide"), make("figcaption", {}, "original"))];
    if (one.heat !== undefined && Array.isArray(pictures[one.heat])) {
      const stack = withHeat(one, "guide");
      const slider = make("input", { type: "range", min: "0", max: "100", value: find("heat") ? find("heat").value : "70", "aria-label": "Opacity of the heatmap" });
      slider.addEventListener("input", () => stack.style.setProperty("--heat", slider.value / 100));
      parts.push(make("figure", {}, stack, make("figcaption", {}, explained(one), one.method ? ` (${one.method})` : ""), slider));
    } else if (one.flat) {
      parts.push(make("p", { class: "flag" }, "No signal: the map is empty or constant."));
    }
    if (one.panel !== undefined) {
      const alt = one.shared ? `Sheet shown to the critic: mistakes of the slice ${one.shared}` : "Panel shown to the critic";
      const shown = make("details", {}, make("summary", {}, one.shared ? "Sheet shown to the critic" : "Panel shown to the critic"));
      shown.addEventListener("toggle", () => { if (shown.open && shown.children.length === 1) shown.append(image(one.panel, alt, "panel")); });
      parts.push(shown);
    }
    return make("div", { class: "looks" }, parts);
  }

  function critique(one) {
    const told = one.critique;
    const parts = [];
    if (told) {
      parts.push(make("h4", {}, "Critique"));
      if (one.shared) parts.push(make("p", { class: "small" }, `Shared by all mistakes of the slice: ${one.shared}`));
      if ((told.evidence || []).length) {
        parts.push(make("ul", { class: "evidence" }, told.evidence.map((item) => make("li", {}, item)),
          told.more ? make("li", {}, `${told.more} more in report.json`) : null));
      }
      parts.push(make("dl", { class: "facts" },
        fact("Looked at", told.attended), fact("Confidence", percent(told.confidence)),
        (one.votes || []).length ? fact("Votes", one.votes.map(chip)) : null,
        told.difficulty ? fact("Difficulty", told.difficulty) : null,
        told.prompt ? fact("Prompt", make("q", {}, told.prompt)) : null,
        one.dropped ? fact("Words cut", one.dropped) : null,
        (told.guidance || []).length ? fact("Guidance", told.guidance.map(chip)) : null));
    } else if (!one.failures) {
      parts.push(make("p", { class: "muted" }, "No critique."));
    }
    for (const [stage, kind, message] of one.failures || []) {
      parts.push(make("p", { class: "failure" }, make("strong", {}, `${stage} failed: ${kind}.`), ` ${message}`));
    }
    return make("div", { class: "critique" }, parts);
  }

  function chip([name, value, colour]) {
    const element = make("span", { class: "chip" }, `${name} `);
    if (colour) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const square = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [key, amount] of [["width", 12], ["height", 12], ["rx", 3], ["fill", colour]]) square.setAttribute(key, amount);
      for (const [key, amount] of [["width", 12], ["height", 12], ["aria-hidden", "true"]]) svg.setAttribute(key, amount);
      svg.append(square);
      element.append(svg, " ");
    }
    element.append(value);
    return element;
  }

  function cause(one) {
    const parts = (one.causes || []).map((number, place) => {
      const test = data.causes[number];
      const edit = one.edits[place] || test.example;
      const borrowed = edit && edit.id !== one.id ? make("p", { class: "small" }, "Shown on another mistake of the same cause.") : null;
      return make("div", {}, make("h4", {}, test.slice ? "Tested cause of its slice " : "Tested cause ", make("span", { class: `badge ${test.outcome}` }, test.outcome)),
        make("p", {}, test.sentence), borrowed, edit ? edits(edit) : null);
    });
    return parts.length ? make("div", { class: "tested" }, parts) : null;
  }

  function edits(edit) {
    const names = ["before", "after the cause’s edit", "the same edit elsewhere"];
    return make("ul", { class: "gallery triples" }, edit.pictures.map((number, place) => {
      const caption = `${names[place]}: ${edit.right[place] ? "right" : "wrong"}`;
      return make("li", {}, enlargeable(number, caption, []), make("span", { class: "small" }, caption));
    }));
  }

  function enlargeable(number, alt, notes) {
    if (!Array.isArray(pictures[number])) return image(number, alt, "synthetic");
    const enlarge = button("", { class: "enlarge", title: "Enlarge" }, () => zoomPicture(number, alt, notes));
    enlarge.append(image(number, alt, "synthetic"));
    return enlarge;
  }

  function news(one) {
    if (!one.images) return null;
    const groups = [["Kept", true, one.kept || 0], ["Rejected", false, one.rejected || 0]];
    return make("div", { class: "generated" }, groups.filter(([, , count]) => count).map(([name, kept, count]) => {
      const some = one.images.filter((item) => Boolean(item.kept) === kept);
      const shown = some.length < count ? `${some.length} of ${count} shown` : String(count);
      return make("div", {}, make("h4", {}, `${name} `, make("span", { class: "count" }, shown)),
        make("ul", { class: "gallery" }, some.map((item) => newImage(one, item))));
    }));
  }

  function newImage(one, item) {
    const number = item.number || 0;
    const alt = `New image ${number} for ${one.label}`;
    const notes = [
      ["Seed", String(item.seed || 0)], ["Prompt", item.prompt], ["Check", item.check], ["Reason", item.reason],
      ["Arms", (item.arms || []).join(", ") || (item.kept ? "not needed" : "none")], ["Repetition", item.repetition],
      ["Made for", `mistake ${one.id}`], ["File", item.blob ? `blobs/${item.blob}` : ""],
    ].filter(([, value]) => value !== undefined && value !== "");
    const shown = item.picture === undefined ? make("span", { class: "blank synthetic" }, "failed") : enlargeable(item.picture, alt, notes);
    const below = item.kept
      ? make("span", { class: "small" }, make("code", {}, String(item.seed || 0)), (item.arms || []).length || !data.arms.length ? "" : " not needed")
      : make("span", { class: "small" }, make("strong", {}, item.check || "rejected"), ` ${item.reason || ""}`);
    return make("li", {}, shown, below);
  }

  function origin(one) {
    const copied = (text) => {
      const element = make("button", { type: "button", class: "copy", "data-copy": text }, "Copy", make("span", { class: "unseen" }, ` ${text}`));
      return make("span", { class: "path" }, make("code", {}, text), " ", element);
    };
    const fixed = one.fixed || [];
    const arms = data.arms.map((name, number) => make("li", { class: fixed.includes(number) ? "yes" : "no" }, `${name}: ${fixed.includes(number) ? "fixed" : "still wrong"}`));
    return make("dl", { class: "facts origin" },
      one.path ? fact("File", copied(one.path)) : null,
      fact("Id", copied(one.id)),
      one.slices ? fact("Slices", one.slices.map((number) => data.slices[number]).join("; ")) : null,
      arms.length ? fact("Arms", make("ul", { class: "arms-of" }, arms)) : null);
  }

  // The list -------------------------------------------------------------------------------------------------------

  const gallery = find("gallery");
  const opened = new Set();
  let shown = data.cases;
  let first = 0;
  let last = 0;
  let settled = null;

  const texts = new Map();
  function text(one) {
    if (!texts.has(one)) {
      const told = one.critique || {};
      const words = [one.id, one.path, one.label, one.predicted, told.cause, told.prompt, told.difficulty, ...(told.evidence || []),
        ...tests(one).map((test) => `${test.kind} ${test.outcome}`), ...(one.slices || []).map((number) => data.slices[number])];
      texts.set(one, words.join("\n").toLowerCase());
    }
    return texts.get(one);
  }

  const selects = [...document.querySelectorAll("select[data-filter]")];

  function state() {
    const found = new URLSearchParams();
    for (const select of selects) if (select.value) found.set(select.dataset.filter, select.value);
    if (find("search").value.trim()) found.set("q", find("search").value.trim());
    if (find("sort").value) found.set("sort", find("sort").value);
    return found;
  }

  function apply() {
    const chosen = state();
    const words = (chosen.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const active = selects.filter((select) => select.value).map((select) => [FILTERS[select.dataset.filter], select.value]);
    shown = data.cases.filter((one) => active.every(([test, value]) => test(one, value)) && words.every((word) => text(one).includes(word)));
    if (SORTS[chosen.get("sort")]) shown.sort(SORTS[chosen.get("sort")]);
    const total = data.cases.length.toLocaleString("en");
    find("count").textContent = shown.length === data.cases.length ? `${total} mistakes` : `${shown.length.toLocaleString("en")} of ${total} mistakes`;
    find("clear").hidden = chosen.toString() === "";
    drawFrom(0);
  }

  function drawFrom(place) {
    first = last = Math.max(0, place);
    gallery.replaceChildren();
    extend();
  }

  function extend(until) {
    const end = Math.min(shown.length, until || last + STEP);
    gallery.append(...shown.slice(last, end).map(card));
    last = end;
    place();
  }

  function extendUp() {
    const start = Math.max(0, first - STEP);
    gallery.prepend(...shown.slice(start, first).map(card));
    first = start;
    place();
  }

  function place() {
    const later = shown.length - last;
    find("earlier").hidden = first === 0;
    find("earlier").textContent = `Show earlier ones (${first.toLocaleString("en")})`;
    find("later").hidden = later === 0;
    find("later").textContent = `Show ${Math.min(STEP, later)} more of ${later.toLocaleString("en")}`;
    if (!shown.length) gallery.replaceChildren(make("p", { class: "empty" }, "No mistake matches. Clear a filter to see more."));
  }

  function remember(anchor) {
    const chosen = state().toString();
    const hash = `#${anchor}${chosen ? `?${chosen}` : ""}`;
    try { history.replaceState(null, "", hash); } catch { location.hash = hash; }
  }

  function change() {
    apply();
    remember("mistakes");
  }

  function redraw(id) {
    const element = find(`mistake-${id}`);
    const fresh = card(data.cases[places.get(id)]);
    if (element) element.replaceWith(fresh);
    return fresh;
  }

  function open(id, isOpen) {
    if (isOpen) opened.add(id); else opened.delete(id);
    const focused = document.activeElement && document.activeElement.classList.contains("toggle");
    const fresh = redraw(id);
    if (focused) fresh.querySelector(".toggle").focus({ preventScroll: true });
    remember(isOpen ? `mistake-${id}` : "mistakes");
  }

  function show(id) {
    let at = shown.findIndex((one) => one.id === id);
    if (at < 0) { clear(); at = shown.findIndex((one) => one.id === id); }
    if (at < first || at >= last) drawFrom(at - (at % STEP));
    opened.add(id);
    const fresh = redraw(id);
    fresh.scrollIntoView({ block: "start" });
    fresh.focus({ preventScroll: true });
    remember(`mistake-${id}`);
  }

  function clear() {
    for (const select of selects) select.value = "";
    find("search").value = "";
    find("sort").value = "";
    apply();
  }

  // Deep links: #mistake-ID opens one; what follows a question mark is the state of the filters.
  function follow() {
    const [anchor, query] = location.hash.slice(1).split(/\?(.*)/s);
    if (query !== undefined) {
      const wanted = new URLSearchParams(query);
      for (const select of selects) set(select, wanted.get(select.dataset.filter));
      find("search").value = wanted.get("q") || "";
      set(find("sort"), wanted.get("sort"));
      apply();
    }
    if (anchor.startsWith("mistake-") && places.has(anchor.slice(8))) show(anchor.slice(8));
    else if (anchor === "mistakes" && query !== undefined) find("mistakes").scrollIntoView();
  }

  function set(select, value) {
    select.value = value || "";
    if (select.selectedIndex < 0) select.value = "";
  }

  // Enlarged pictures ----------------------------------------------------------------------------------------------

  const dialog = find("zoom");
  let enlarged = -1;

  function zoom(one) {
    enlarged = shown.indexOf(one);
    fill(`${one.label} predicted ${one.predicted} (${percent(one.p)})`, withHeat(one), [
      ["Heatmap", explained(one) + (one.method ? ` (${one.method})` : "")], ["File", one.path], ["Id", one.id], ["Cause", one.critique && one.critique.cause],
    ], one.heat !== undefined);
  }

  function zoomPicture(number, alt, notes) {
    enlarged = -1;
    fill(alt, image(number, alt), notes, false);
  }

  function fill(title, picture, notes, hasHeat) {
    find("zoom-title").textContent = title;
    find("zoom-picture").replaceChildren(picture);
    find("zoom-notes").replaceChildren(make("dl", { class: "facts" }, notes.filter(([, value]) => value).map(([name, value]) => fact(name, String(value)))));
    find("zoom-heat-field").hidden = !hasHeat;
    find("zoom-before").hidden = find("zoom-after").hidden = enlarged < 0;
    find("zoom-before").disabled = enlarged === 0;
    find("zoom-after").disabled = enlarged === shown.length - 1;
    if (!dialog.open) dialog.showModal();
  }

  function turn(by) {
    const next = shown[enlarged + by];
    if (enlarged >= 0 && next) zoom(next);
  }

  // Keys, in the gallery alone, so that they are in nobody's way --------------------------------------------------------

  function press(event) {
    const inField = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (inField || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    const current = event.target.closest(".mistake");
    const act = {
      j: () => move(current, 1), k: () => move(current, -1), "/": () => find("search").focus(),
      o: () => current && open(current.dataset.id, !opened.has(current.dataset.id)),
      z: () => current && current.querySelector(".enlarge") && zoom(data.cases[places.get(current.dataset.id)]),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    if (event.key === "o" && current) find(current.id).focus({ preventScroll: true });
  }

  function move(current, by) {
    const cards = [...gallery.querySelectorAll(".mistake")];
    const at = current ? cards.indexOf(current) + by : 0;
    if (at >= cards.length && last < shown.length) { extend(); move(current, by); return; }
    const next = cards[Math.max(0, Math.min(cards.length - 1, at))];
    if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
  }

  // Begin ----------------------------------------------------------------------------------------------------------

  for (const element of document.querySelectorAll("img[data-picture]")) {
    const picture = pictures[element.dataset.picture];
    if (Array.isArray(picture)) element.src = picture[0];
  }
  document.addEventListener("click", (event) => {
    const copied = event.target.closest("[data-copy]");
    if (copied) copy(copied);
    const enlarge = event.target.closest("[data-zoom]");
    if (!enlarge) return;
    const one = data.cases[places.get(enlarge.dataset.case)];
    if (one) { if (!shown.includes(one)) clear(); zoom(one); } else zoomPicture(enlarge.dataset.zoom, enlarge.querySelector("img").alt, []);
  });
  find("zoom-close").addEventListener("click", () => dialog.close());
  find("zoom-before").addEventListener("click", () => turn(-1));
  find("zoom-after").addEventListener("click", () => turn(1));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT") return;
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });
  if (!gallery) return;

  find("toolbar").hidden = find("keys").hidden = false;
  for (const select of [...selects, find("sort")]) select.addEventListener("change", change);
  find("search").addEventListener("input", () => { clearTimeout(settled); settled = setTimeout(change, 120); });
  find("clear").addEventListener("click", () => { clear(); remember("mistakes"); find("search").focus(); });
  for (const slider of [find("heat"), find("zoom-heat")]) {
    if (slider) slider.addEventListener("input", () => {
      (slider.id === "heat" ? gallery : dialog).style.setProperty("--heat", slider.value / 100);
    });
  }
  find("later").addEventListener("click", () => {
    const at = last;
    extend();
    const next = gallery.children[at - first];
    if (next) next.focus({ preventScroll: true });
  });
  find("earlier").addEventListener("click", extendUp);
  find("mistakes").closest("section").addEventListener("keydown", press);
  window.addEventListener("hashchange", follow);
  window.addEventListener("beforeprint", () => extend(Math.min(shown.length, first + PRINTED)));
  apply();
  if (location.hash.length > 1) follow();
})();
