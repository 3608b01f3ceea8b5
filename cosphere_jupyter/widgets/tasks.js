// The list of tasks, and a field; a part of the module that view.js begins and ends. A row is made once and changed in
// place, so that focus and pointer stay where they are; seconds are counted here, and only while something runs.

const ACTIONS = { cancel: "Cancel", load: "Load as DataFrame", save: "Save …", again: "Retry" };
const TICK = 1000;

const element = (tag, kind, ...children) => make(tag, { class: kind }, ...children);

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = !text;
}

function span(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  if (seconds < 10 && seconds !== whole) return `${Math.max(seconds, 0).toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

const seconds = () => Date.now() / 1000;

// How long it will still take, if it goes on as it went until it was last heard of; unknown at the very beginning.
function left({ fraction, started, heard }) {
  const gone = heard - started;
  if (!(fraction > 0.02) || !(gone > 1)) return null;
  return Math.max((gone * (1 - fraction)) / fraction - (seconds() - heard), 0);
}

function times(row) {
  if (row.completed !== null) return row.started === null ? "" : span(row.completed - row.started);
  if (row.state === "queued") return row.queued === null ? "" : `for ${span(Math.floor(seconds() - row.queued))}`;
  if (row.started === null) return "";
  const rest = left(row);
  return `${span(Math.floor(seconds() - row.started))}${rest === null ? "" : `, about ${span(Math.ceil(rest))} left`}`;
}

function moment(row) {
  if (row.queued === null) return ["", ""];
  const at = new Date(row.queued * 1000), is_today = at.toDateString() === new Date().toDateString();
  const hours = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return [is_today ? hours : at.toLocaleDateString([], { day: "numeric", month: "short" }), at.toLocaleString()];
}

function makeRow(tell) {
  const title = element("span", "cosphere-name"), kind = element("span", "cosphere-tag"), note = element("div", "cosphere-note");
  const bar = element("div", "cosphere-progress", element("div", "")), words = element("span", "cosphere-words");
  const time = element("span", "cosphere-time"), facts = element("span", "cosphere-fact"), when = element("span", "cosphere-when");
  const error = element("div", "cosphere-error"), buttons = element("div", "cosphere-actions");
  const head = element("div", "cosphere-title", title, kind, when);
  const line = element("div", "cosphere-line-of-facts", words, bar, time, facts);
  const node = element("div", "cosphere-task", element("div", "cosphere-what", head, note), element("div", "cosphere-how", line, error), buttons);
  node.setAttribute("role", "listitem");
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  let row, is_left = false;

  function act(actions) {
    const here = buttons.contains(document.activeElement);
    for (const child of [...buttons.children]) if (!actions.includes(child.dataset.action)) child.remove();
    actions.forEach((action, place) => {
      let button = [...buttons.children].find((child) => child.dataset.action === action);
      if (!button) {
        button = element("button", "cosphere-action", ACTIONS[action]);
        button.type = "button";
        button.dataset.action = action;
        button.addEventListener("click", () => tell(action, row.key));
      }
      button.setAttribute("aria-label", `${ACTIONS[action]}: ${row.title}`);
      if (buttons.children[place] !== button) buttons.insertBefore(button, buttons.children[place] ?? null);
    });
    // Whoever pressed a button that is gone goes on from the next one, as soon as there is one.
    const list = node.closest("[tabindex]");
    if (here && !buttons.contains(document.activeElement)) list?.focus();
    is_left = is_left || here;
    if (is_left && document.activeElement !== list) is_left = false;
    else if (is_left && buttons.firstElementChild) {
      is_left = false;
      buttons.firstElementChild.focus();
    }
  }

  function tick() {
    say(time, times(row));
  }

  function update(next) {
    row = next;
    const [short, long] = moment(row), percent = row.fraction === null ? null : Math.floor(row.fraction * 100);
    node.dataset.state = row.state;
    say(title, row.title);
    say(kind, row.kind);
    say(note, row.note);
    note.title = row.note;
    say(when, short);
    when.title = long;
    say(words, percent === null || row.state !== "executing" ? row.words : `${percent} %`);
    say(facts, row.facts);
    say(error, row.error);
    bar.hidden = row.state !== "executing";
    bar.classList.toggle("cosphere-unknown", percent === null);
    bar.setAttribute("aria-label", `${row.title}: ${row.words}`);
    if (percent === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", percent);
    bar.firstElementChild.style.width = percent === null ? "" : `${row.fraction * 100}%`;
    act(row.actions);
    tick();
  }

  return { node, update, tick, is_going: () => row.completed === null };
}

function renderTasks({ model, el }) {
  const list = element("div", "cosphere-tasks"), empty = element("div", "cosphere-empty");
  list.setAttribute("role", "list");
  list.setAttribute("aria-label", model.get("label"));
  list.tabIndex = -1;
  const rows = new Map();
  let timer = null;

  function tick() {
    for (const row of rows.values()) if (row.is_going()) row.tick();
  }

  function show() {
    const wanted = model.get("rows"), keys = new Set(wanted.map((row) => row.key));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      row.node.remove();
      rows.delete(key);
    }
    wanted.forEach((each, place) => {
      if (!rows.has(each.key)) rows.set(each.key, makeRow((action, key) => model.send({ action, key })));
      const row = rows.get(each.key);
      row.update(each);
      if (list.children[place] !== row.node) list.insertBefore(row.node, list.children[place] ?? null);
    });
    say(empty, wanted.length ? "" : model.get("empty"));
    list.hidden = !wanted.length;
    const is_going = [...rows.values()].some((row) => row.is_going());
    if (is_going && timer === null) timer = setInterval(tick, TICK);
    else if (!is_going && timer !== null) timer = clearInterval(timer) ?? null;
  }

  el.append(list, empty);
  show();
  model.on("change:rows change:empty", show);
  return () => {
    model.off("change:rows change:empty", show);
    clearInterval(timer);
  };
}

// -- a field --------------------------------------------------------------------------------------------------------

// What is typed is told, too; what Enter means is told together with what stands there then.
function renderField({ model, el }) {
  const input = element("input", "cosphere-input");
  input.type = "text";
  input.spellcheck = false;
  input.autocomplete = "off";

  function show() {
    if (input.value !== model.get("value")) input.value = model.get("value");
    input.setAttribute("aria-label", model.get("label"));
    input.placeholder = model.get("label");
    input.setAttribute("aria-invalid", String(!model.get("is_right")));
  }

  function take(message) {
    if (!message.focus) return;
    input.focus();
    input.select();
  }

  input.addEventListener("input", () => {
    model.set("value", input.value);
    model.save_changes();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    model.send({ submit: input.value });
  });
  el.append(input);
  show();
  model.on("change:value change:label change:is_right", show);
  model.on("msg:custom", take);
  return () => {
    model.off("change:value change:label change:is_right", show);
    model.off("msg:custom", take);
  };
}
