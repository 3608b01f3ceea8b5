// What ipywidgets has not: distributions, lists, tables, code to copy, the list of tasks, and a field. One module for all
// of them, drawn with plain elements and inline SVG; charts.js and tasks.js are parts of it. Text is only ever set as text,
// and nothing is fetched from anywhere.

// Texts of so many letters may be cut where they stand; then they are told whole to whoever points there.
const LONG = 24;

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

function make(tag, attributes = {}, ...children) {
  const node = set(document.createElement(tag), attributes);
  node.append(...children.filter((child) => child != null));
  return node;
}

function draw(tag, attributes = {}, ...children) {
  const node = set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes);
  node.append(...children.filter((child) => child != null));
  return node;
}

const among = (value, low, high) => Math.min(Math.max(value, low), high);

// -- lists -----------------------------------------------------------------------------------------------------------

// A listbox: arrows move, Space and Enter choose. Of a list of which one is chosen it is the one arrows have come to.
let lists = 0;

function renderList({ model, el }) {
  const id = `cosphere-list-${(lists += 1)}-${Math.random().toString(36).slice(2)}`;
  const box = make("div", { class: "cosphere-list", role: "listbox", tabindex: 0, "aria-label": model.get("label") });
  let items = [], nodes = [], at = 0;
  const many = model.get("is_multiple");
  if (many) set(box, { "aria-multiselectable": "true" });

  function option(item, place) {
    const title = make("div", { class: "cosphere-title" }, many ? make("span", { class: "cosphere-check", "aria-hidden": "true" }) : null,
      make("bdi", { class: "cosphere-name" }, item.title), item.facts ? make("span", { class: "cosphere-facts" }, item.facts) : null);
    const node = make("div", { class: "cosphere-option", role: "option", id: `${id}-${place}` }, title);
    const by = item.by ? make("span", { class: "cosphere-by", title: `maintained by ${item.by}` }, make("bdi", {}, item.by)) : null;
    if (item.note) node.append(make("div", { class: "cosphere-note" }, make("bdi", { class: "cosphere-short" }, item.note), by));
    // Without a note there is no line for it alone.
    const tags = (item.tags ?? []).map(([text, kind]) => make("span", { class: `cosphere-tag cosphere-${kind}`, title: text.length > LONG && text }, text));
    if (tags.length || (by && !item.note)) node.append(make("div", { class: "cosphere-tags" }, ...tags, item.note ? null : by));
    node.addEventListener("click", () => {
      move(place, false);
      choose(place);
    });
    return node;
  }

  function choose(place) {
    const key = items[place]?.key;
    if (key == null) return;
    if (many) {
      // The kernel may just be changing what is chosen: it is told what was clicked, not what should come of it.
      set(nodes[place], { "aria-selected": nodes[place].getAttribute("aria-selected") !== "true" ? "true" : "false" });
      model.send({ toggle: key });
      return;
    }
    model.set("chosen", [key]);
    model.save_changes();
  }

  function move(place, scroll = true) {
    nodes[at]?.classList.remove("cosphere-at");
    at = among(place, 0, Math.max(nodes.length - 1, 0));
    nodes[at]?.classList.add("cosphere-at");
    set(box, { "aria-activedescendant": nodes[at]?.id });
    if (scroll) nodes[at]?.scrollIntoView({ block: "nearest" });
  }

  function mark() {
    const chosen = new Set(model.get("chosen"));
    nodes.forEach((node, place) => set(node, { "aria-selected": chosen.has(items[place].key) ? "true" : "false" }));
  }

  function fill() {
    const here = items[at]?.key, top = box.scrollTop;
    items = model.get("items");
    nodes = items.map(option);
    box.replaceChildren(...(nodes.length ? nodes : [make("div", { class: "cosphere-empty" }, model.get("empty"))]));
    mark();
    const chosen = model.get("chosen")[0];
    const again = items.findIndex((item) => item.key === here || (!many && item.key === chosen));
    move(Math.max(again, 0), false);
    box.scrollTop = again < 0 ? 0 : top;
  }

  box.addEventListener("keydown", (event) => {
    const page = Math.max(Math.floor(box.clientHeight / Math.max(nodes[0]?.offsetHeight ?? 1, 1)) - 1, 1);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: nodes.length - 1 };
    if (event.key in steps) {
      move(steps[event.key]);
      if (!many) choose(at);
    } else if (event.key === "Enter" || event.key === " ") choose(at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  el.append(box);
  fill();
  model.on("change:items change:empty", fill);
  model.on("change:chosen", mark);
}

// -- tables ----------------------------------------------------------------------------------------------------------

function cell(value, kind, tag = "td") {
  const is_cut = kind === "line" && typeof value === "string" && value.length > LONG;
  const node = make(tag, { class: `cosphere-${kind}`, scope: tag === "th" ? "row" : null, title: is_cut && value });
  if (value === null) node.append(make("em", { class: "cosphere-faint" }, "null"));
  else if (typeof value === "object") node.append(value.bins || value.bars ? chart(value) : make("em", { class: "cosphere-faint" }, value.title));
  else node.append(make("bdi", {}, value));
  return node;
}

function renderTable({ model, el }) {
  function redraw() {
    const headings = model.get("headings"), kinds = model.get("kinds");
    const head = headings.map((text, place) => make("th", { scope: "col", class: `cosphere-${kinds[place]}`, title: text.length > LONG && text }, text));
    const body = model.get("rows").map((row) => make("tr", {}, ...row.map((value, place) => cell(value, kinds[place], kinds[place] === "head" ? "th" : "td"))));
    const table = make("table", { "aria-label": model.get("label") }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
    const more = model.get("more");
    el.replaceChildren(make("div", { class: "cosphere-table", tabindex: 0, role: "region", "aria-label": model.get("label") }, table, more ? make("div", { class: "cosphere-faint" }, more) : null));
  }
  redraw();
  model.on("change:rows change:headings change:more", redraw);
}

// -- code ------------------------------------------------------------------------------------------------------------

function renderCode({ model, el }) {
  const code = make("code"), button = make("button", { type: "button", class: "cosphere-copy" }, "Copy");
  const box = make("pre", { tabindex: 0, "aria-label": model.get("label") }, code), frame = make("div", { class: "cosphere-code" }, box, button);
  function show() {
    code.textContent = model.get("text");
    button.disabled = model.get("is_stale");
    frame.classList.toggle("cosphere-stale", button.disabled);
  }
  async function copy() {
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      // Pages that are not secure have no clipboard; what is selected can be copied by keys.
      getSelection().selectAllChildren(code);
      if (!document.execCommand("copy")) return void (button.textContent = "Selected");
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
  set(button, { "aria-label": `Copy: ${model.get("label")}` });
  button.addEventListener("click", copy);
  el.append(frame);
  show();
  model.on("change:text change:is_stale", show);
}

// A letter that is typed into a list of ours is none of the notebook's commands ("a" would insert a cell). Keys with
// Ctrl, Alt or Command, and Shift+Enter, stay the notebook's.
function keep(event) {
  const is_notebooks = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
  if (!is_notebooks) event.stopPropagation();
}

// The sliders of ipywidgets have a label that is only seen; screen readers need it on what has the focus.
function tellSliders(panel) {
  for (const node of panel.querySelectorAll(".noUi-handle, .widget-readout")) {
    const text = node.closest(".widget-slider")?.querySelector(".widget-label")?.textContent;
    if (text) node.setAttribute("aria-label", text);
  }
}

// A part is drawn before it stands in its panel.
function guard(el, tries = 50) {
  const panel = el.closest(".cosphere");
  if (panel && !panel.dataset.cosphereGuarded) {
    panel.dataset.cosphereGuarded = "yes";
    panel.addEventListener("keydown", keep);
    new MutationObserver(() => tellSliders(panel)).observe(panel, { childList: true, subtree: true });
    tellSliders(panel);
  } else if (!panel && tries) setTimeout(() => guard(el, tries - 1), 100);
}

const PARTS = { chart: renderChart, list: renderList, table: renderTable, code: renderCode, tasks: renderTasks, field: renderField };

export default {
  render(context) {
    context.el.classList.add("cosphere-view");
    guard(context.el);
    return PARTS[context.model.get("part")](context);
  },
};
