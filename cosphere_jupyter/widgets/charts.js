// Distributions; a part of the module that view.js begins and ends.

const WIDTH = 232, PLOT = 182, LINE = 12, LABEL = 84, BAR = 88, FEWEST = 8;

const label = (x, y, text, anchor, kind = "") =>
  draw("text", { x, y, "text-anchor": anchor, class: `cosphere-label ${kind}` }, text);

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
