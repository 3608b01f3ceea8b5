// What ipywidgets has not: distributions, lists, tables and code to copy. One module for all of them, drawn with plain
// elements and inline SVG. Text is only ever set as text, and nothing is fetched from anywhere.

const WIDTH = 250, PLOT = 182, LINE = 12, LABEL = 84, BAR = 88, FEWEST = 8;
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

const label = (x, y, text, anchor, kind = "") =>
  draw("text", { x, y, "text-anchor": anchor, class: `cosphere-label ${kind}` }, text);

const among = (value, low, high) => Math.min(Math.max(value, low), high);

// -- distributions ---------------------------------------------------------------------------------------------------

// Returns an element; `select` takes the range (or the bars) that is highlighted. What somebody does with mouse or keys
// is told to `on.range([low, high] or [])` and `on.pick(bar)`; without them the chart is only looked at.
function chart(picture, on = {}) {
  const told = make("span", { class: "cosphere-unseen", "aria-live": "polite" });
  const root = make("div", { class: "cosphere-chart", tabindex: 0, role: "group", "aria-label": picture.title });
  const kind = picture.bins ? histogram(picture, on, told) : bars(picture, on, told);
  root.append(kind.svg, told);
  root.addEventListener("keydown", (event) => {
    if (kind.key(event)) {
      event.preventDefault();
      // The notebook has its own meaning for arrows and Escape.
      event.stopPropagation();
    }
  });
  root.addEventListener("blur", () => kind.point(null));
  root.select = kind.select;
  return root;
}

function frame(height) {
  return draw("svg", { width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}`, "aria-hidden": "true" });
}

function histogram(picture, on, told) {
  const { bins, texts, start, width } = picture;
  const height = picture.height ?? 30, foot = height + 11, step = PLOT / Math.max(bins.length, FEWEST);
  const end = bins.length * step, highest = Math.max(...bins), gap = step >= 4 ? 1 : 0;
  const outline = bins.map((count, place) => {
    const tall = Math.max((count / highest) * height, 1);
    return count ? `M${place * step} ${height}v${-tall}h${step - gap}v${tall}z` : "";
  }).join("");
  const all = draw("path", { d: outline, class: "cosphere-bars" });
  // A picture in the picture shows the selected part only.
  const part = draw("svg", { y: 0, height, x: 0, width: 0 }, draw("path", { d: outline, class: "cosphere-bars" }));
  const band = draw("rect", { y: 0, height, class: "cosphere-band", width: 0 });
  const cursor = draw("rect", { y: 0, height, width: Math.max(step - gap, 1), class: "cosphere-cursor", opacity: 0 });
  const low = label(0, foot, picture.low, "start"), high = label(PLOT, foot, picture.low === picture.high ? "" : picture.high, "end");
  const shown = label(0, foot, "", "start", "cosphere-shown");
  const svg = frame(height + 15 + (picture.note ? LINE : 0));
  svg.append(band, all, part, cursor, draw("path", { d: `M0 ${height + 0.5}h${PLOT}`, class: "cosphere-axis" }), low, high, shown);
  if (picture.nulls) svg.append(...gauge(picture.nulls, height));
  if (picture.note) svg.append(label(0, foot + LINE, picture.note, "start", "cosphere-faint"));
  const can = on.range && width > 0;
  const field = draw("rect", { width: PLOT, height: height + 4, class: can ? "cosphere-field cosphere-brush" : "cosphere-field" });
  svg.append(field);

  let at = null, anchor = null, range = [];
  const edge = (place) => start + place * width;
  const left = (value) => among(((value - start) / width) * step, 0, end);
  const place = (event) => {
    const x = (event.clientX - field.getBoundingClientRect().left) * (PLOT / field.getBoundingClientRect().width);
    return among(Math.floor(x / step), 0, bins.length - 1);
  };

  function select(chosen) {
    range = chosen ?? [];
    const is = range.length === 2 && width > 0;
    const [from, to] = is ? range.map(left) : [0, 0];
    set(part, { x: from, width: Math.max(to - from, 0), viewBox: `${from} 0 ${Math.max(to - from, 0.01)} ${height}` });
    set(band, { x: from, width: Math.max(to - from, 0) });
    all.classList.toggle("cosphere-others", is);
  }

  function point(where, aloud = false) {
    at = where;
    set(cursor, { opacity: at == null ? 0 : 1, x: (at ?? 0) * step });
    const text = at == null ? "" : texts[at];
    shown.textContent = text;
    const middle = among((at ?? 0) * step, 0, PLOT);
    const anchored = middle < PLOT / 3 ? ["start", 0] : middle > (2 * PLOT) / 3 ? ["end", PLOT] : ["middle", PLOT / 2];
    set(shown, { "text-anchor": anchored[0], x: anchored[1] });
    for (const each of [low, high]) set(each, { opacity: at == null ? 1 : 0 });
    if (aloud) told.textContent = text;
  }

  const between = (one, other) => [edge(Math.min(one, other)), edge(Math.max(one, other) + 1)];
  function tell(chosen) {
    select(chosen);
    on.range(chosen);
  }

  field.addEventListener("pointermove", (event) => {
    point(place(event));
    if (anchor != null) select(between(anchor, at));
  });
  field.addEventListener("pointerleave", () => anchor == null && point(null));
  if (can) {
    field.addEventListener("pointerdown", (event) => {
      anchor = place(event);
      field.setPointerCapture(event.pointerId);
      select(between(anchor, anchor));
    });
    field.addEventListener("pointerup", (event) => {
      if (anchor == null) return;
      tell(between(anchor, place(event)));
      anchor = null;
    });
    field.addEventListener("pointercancel", () => (anchor = null));
    field.addEventListener("dblclick", () => tell([]));
  }

  function key(event) {
    const last = bins.length - 1;
    const next = { ArrowRight: (at ?? -1) + 1, ArrowLeft: (at ?? last + 1) - 1, Home: 0, End: last }[event.key];
    if (next != null) {
      const was = at;
      point(among(next, 0, last), true);
      if (can && event.shiftKey) {
        // From where Shift was first held.
        anchor ??= was ?? at;
        tell(between(anchor, at));
      } else anchor = null;
      return true;
    }
    if (can && event.key === "Enter" && at != null) return tell(between(at, at)), true;
    if (can && event.key === "Escape" && range.length) return (anchor = null), tell([]), true;
    return false;
  }
  return { svg, select, point, key };
}

function gauge(nulls, height) {
  const x = PLOT + 22, full = Math.max(nulls.share * (height - 1), 1);
  return [
    draw("rect", { x, y: height - full, width: 12, height: full, class: "cosphere-nulls" }),
    draw("rect", { x: x + 0.5, y: 0.5, width: 11, height: height - 0.5, class: "cosphere-vessel" }, draw("title", {}, nulls.text)),
    label(x + 6, height + 11, "null", "middle", "cosphere-faint"),
  ];
}

function bars(picture, on, told) {
  const rows = picture.bars, highest = Math.max(...rows.map((row) => row.count), 1);
  const svg = frame((rows.length + (picture.note ? 1 : 0)) * LINE + 2);
  let at = null;
  const groups = rows.map((row, place) => {
    const top = place * LINE, wide = Math.max((row.count / highest) * BAR, 1), x = picture.left;
    const group = draw("g", { class: row.is_null ? "cosphere-bar cosphere-of-null" : "cosphere-bar" },
      draw("title", {}, row.text),
      draw("rect", { y: top, width: WIDTH, height: LINE, class: on.pick && !row.is_null ? "cosphere-field cosphere-pick" : "cosphere-field" }),
      label(x - 4, top + 9, row.label, "end"),
      draw("rect", { x, y: top + 1.5, width: wide, height: LINE - 3, class: "cosphere-mark" }),
      label(x + wide + 3, top + 9, row.count.toLocaleString("en"), "start", "cosphere-faint"));
    group.addEventListener("pointerenter", () => point(place));
    group.addEventListener("pointerleave", () => point(null));
    if (on.pick && !row.is_null) group.addEventListener("click", () => on.pick(place));
    return group;
  });
  svg.append(...groups);
  if (picture.note) svg.append(label(Math.min(picture.left, LABEL), rows.length * LINE + 9, picture.note, "start", "cosphere-faint"));

  function point(where, aloud = false) {
    at = where;
    groups.forEach((group, place) => group.classList.toggle("cosphere-at", place === at));
    if (aloud) told.textContent = at == null ? "" : rows[at].text;
  }
  const select = (chosen) => groups.forEach((group, place) =>
    group.classList.toggle("cosphere-others", chosen?.length > 0 && !chosen.includes(place)));
  function key(event) {
    const last = rows.length - 1;
    const next = { ArrowDown: (at ?? -1) + 1, ArrowUp: (at ?? last + 1) - 1, Home: 0, End: last }[event.key];
    if (next != null) return point(among(next, 0, last), true), true;
    if (on.pick && event.key === "Enter" && at != null && !rows[at].is_null) return on.pick(at), true;
    return false;
  }
  return { svg, select, point, key };
}

function renderChart({ model, el }) {
  let shown = null;
  const highlight = () => shown?.select(model.get("picture").bins ? model.get("selection") : model.get("marked"));
  function redraw() {
    const picture = model.get("picture"), can = model.get("can_select");
    const on = can && {
      range: (range) => {
        model.set("selection", range);
        model.save_changes();
      },
      pick: (place) => model.send({ pick: place }),
    };
    shown = picture.bins || picture.bars ? chart(picture, on || {}) : null;
    el.replaceChildren(shown ?? (picture.title ? make("em", { class: "cosphere-faint" }, picture.title) : ""));
    highlight();
  }
  redraw();
  model.on("change:picture change:can_select", redraw);
  model.on("change:selection change:marked", highlight);
}

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

const PARTS = { chart: renderChart, list: renderList, table: renderTable, code: renderCode };

export default {
  render(context) {
    context.el.classList.add("cosphere-view");
    guard(context.el);
    PARTS[context.model.get("part")](context);
  },
};
