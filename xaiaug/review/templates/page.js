"use strict";
// Untrusted text is set by textContent only, never as markup.
const at = (id) => document.getElementById(id);
const { run, decides, items } = JSON.parse(at("data").textContent);
const AROUND = 12;
let here = Math.max(0, items.findIndex((item) => !state(item))); // of a run without review: the first
const decided = []; // positions, in the order of the decisions
let queue = Promise.resolve(); // the next key may be pressed before the last decision is saved

function flagged(item) {
  return items.some((other) => other.case === item.case && other.label_is_wrong);
}

function state(item) {
  return flagged(item) || item.new_prompt ? "reject" : item.decision;
}

function describe(item) {
  if (!decides) return item.decision === "keep" ? "✓ Kept by the filter" : `✕ Rejected by the filter: ${item.reason}`;
  if (flagged(item)) return "✕ Rejected: the label of its mistake is wrong";
  if (item.new_prompt) return "✕ To be generated again with another prompt";
  return { keep: "✓ Kept", reject: "✕ Rejected" }[item.decision] || "Not reviewed yet";
}

async function send(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `the server answered ${answer.status}`);
}

async function save(path, body, change) {
  try {
    await send(path, body);
    at("problem").hidden = true;
    change();
    return true;
  } catch (error) {
    at("problem").textContent = `Not saved: ${error.message}`;
    at("problem").hidden = false;
    return false;
  } finally {
    show();
  }
}

async function decide(change, onward) {
  const item = items[here], place = here;
  if (!(await save("decide", { id: item.id, ...change }, () => Object.assign(item, change))) || !onward) return;
  decided.push(place);
  advance();
}

function advance() {
  const left = [...items.keys()].map((step) => (here + 1 + step) % items.length);
  const open = left.find((place) => !state(items[place]));
  if (open === undefined) finish();
  else go(open);
}

function go(place) {
  here = Math.min(items.length - 1, Math.max(0, place));
  edit(false);
  show();
}

function edit(on) {
  at("edit").hidden = !on;
  if (on) {
    at("words").value = items[here].new_prompt || items[here].prompt;
    at("words").focus({ preventScroll: true });
    at("edit").scrollIntoView({ block: "nearest" });
  } else if (document.activeElement === at("words")) at("words").blur();
}

function finish() {
  at("finished").hidden = false;
  at("one").hidden = true;
  show();
  at("done").focus();
}

function show() {
  const item = items[here], done = items.filter((one) => state(one)).length;
  const kept = items.filter((one) => state(one) === "keep").length;
  at("run").textContent = run;
  const reviewed = decides ? `${done} of ${items.length} reviewed` : `${items.length} images, not to be reviewed`;
  at("counts").textContent = `${reviewed} · ${kept} kept · ${done - kept} rejected`;
  at("progress").max = items.length;
  at("progress").value = done;
  at("acts").hidden = !at("finished").hidden;
  at("rest").disabled = done === items.length;
  if (at("finished").hidden) one(item);
  strip();
}

function one(item) {
  at("image").src = `image/${item.id}`;
  at("image").alt = `New image ${here + 1} of ${items.length}, prompt: ${item.new_prompt || item.prompt}`;
  at("state").textContent = `${here + 1} of ${items.length} · ${describe(item)}`;
  at("state").className = state(item);
  at("question").textContent = decides ? `Does this show a good “${item.label}”?` : `A new “${item.label}”`;
  const words = ["Generated because an image of ", item.label, " was classified as ", item.predicted, "."];
  at("mistake").replaceChildren(...words.map((word, index) => (index % 2 ? strong(word) : word)));
  picture("failed", item, item.failed, `The guide image: ${item.label}, predicted ${item.predicted}`);
  picture("heatmap", item, item.heatmap, "The heatmap over the guide image");
  at("method").textContent = item.heatmap ? ` (${item.heatmap})` : "";
  at("cause-row").hidden = !item.cause;
  at("cause").textContent = item.cause;
  at("prompt").replaceChildren(...(item.new_prompt ? [element("del", item.prompt), element("ins", item.new_prompt)] : [item.prompt]));
  for (const name of ["keep", "reject"]) at(name).setAttribute("aria-pressed", String(state(item) === name));
  at("flag").setAttribute("aria-pressed", String(flagged(item)));
  at("reword").disabled = at("reword").hidden = item.prompt_is_fixed;
  at("prompt-row").hidden = !item.prompt_is_read;
  at("undo").disabled = !decided.length && !state(item);
  if (!decides) for (const name of ["keep", "reject", "reword", "flag", "undo", "rest"]) at(name).disabled = at(name).hidden = true;
  at("back").disabled = here === 0;
  at("next").disabled = here === items.length - 1;
}

function picture(name, item, there, words) {
  at(`${name}-figure`).hidden = !there;
  if (there) {
    at(name).src = `${name}/${item.id}`;
    at(name).alt = words;
  }
}

function strip() {
  const first = Math.max(0, Math.min(here - AROUND / 2, items.length - AROUND - 1));
  const shown = items.slice(first, first + AROUND + 1);
  at("strip").replaceChildren(...shown.map((item, step) => thumbnail(item, first + step)));
}

function thumbnail(item, place) {
  const entry = document.createElement("li"), button = document.createElement("button"), image = document.createElement("img");
  image.src = `image/${item.id}`;
  image.alt = "";
  button.type = "button";
  button.className = state(item);
  button.setAttribute("aria-label", `Image ${place + 1}: ${describe(item)}`);
  button.setAttribute("aria-current", String(place === here));
  button.append(image);
  if (state(item)) {
    const mark = element("span", state(item) === "keep" ? "✓" : "✕");
    mark.className = `mark ${state(item)}`;
    button.append(mark);
  }
  button.addEventListener("click", () => look(place));
  entry.append(button);
  return entry;
}

function element(name, text) {
  const node = document.createElement(name);
  node.textContent = text;
  return node;
}

function strong(text) {
  return element("strong", text);
}

function look(place) {
  at("finished").hidden = true;
  at("one").hidden = false;
  go(place);
}

async function undo() {
  const place = decided.pop() ?? here, mistake = items[place].case;
  look(place);
  for (const other of items.filter((one) => one.case === mistake && one.label_is_wrong)) {
    await save("decide", { id: other.id, label_is_wrong: false }, () => { other.label_is_wrong = false; });
  }
  await decide({ decision: "", new_prompt: "" }, false);
}

async function keepTheRest() {
  const left = items.filter((item) => !state(item));
  if (!window.confirm(`Keep the ${left.length} images you have not reviewed?`)) return;
  if (await save("keep-the-rest", {}, () => left.forEach((item) => { item.decision = "keep"; }))) finish();
}

function then(act) {
  queue = queue.then(act);
}

const acts = {
  keep: () => decide({ decision: "keep", new_prompt: "" }, true),
  reject: () => decide({ decision: "reject", new_prompt: "" }, true),
  reword: () => edit(true),
  flag: () => decide({ label_is_wrong: true }, true),
  undo,
  back: () => go(here - 1),
  next: () => go(here + 1),
};
const keys = { k: "keep", r: "reject", e: "reword", l: "flag", u: "undo", arrowleft: "back", arrowright: "next" };

for (const [id, act] of Object.entries(acts)) at(id).addEventListener("click", () => then(act));
at("rest").addEventListener("click", () => then(keepTheRest));
at("look").addEventListener("click", () => look(0));
at("cancel").addEventListener("click", () => edit(false));
at("edit").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = at("words").value.trim();
  edit(false);
  if (words && words !== items[here].prompt) then(() => decide({ new_prompt: words, decision: "reject" }, true));
});
document.addEventListener("keydown", (event) => {
  if (event.target === at("words")) {
    if (event.key === "Escape") edit(false);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("edit").requestSubmit();
    return;
  }
  const id = keys[event.key.toLowerCase()];
  if (!id || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  then(() => (at("finished").hidden && !at(id).disabled ? acts[id]() : undefined));
});
if (decides && items.every((item) => state(item))) finish();
else show();
