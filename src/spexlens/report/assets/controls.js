// What the reader does, and what the page shows of it. All state is in `state`; `show…` read it.

const DRAWN_AT_FIRST = 12;
const LISTED = 12;

const by = (id) => document.getElementById(id);
const data = JSON.parse(by("data").textContent);
const views = data.views.map((view) => ({ ...view, sets: unpack(view) }));
const state = {
  view: 0,
  count: DRAWN_AT_FIRST,
  filters: { order: "", sign: "", sure: false },
  removed: new Uint8Array(data.players.length),
  pointed: null, // a player's number
  set: null, // a set pointed at in the table
};
const players = buildStage(by("stage"), data);
let places = [];
const predictedFull = evaluate(data.spectrum, players.map(() => 1));

const label = (members) => members.map((i) => shortened(data.labels[i])).join(" × ");

function passing() {
  return views[state.view].sets.filter((set) => passes(set, state.filters));
}

// -- the players and what joins them ---------------------------------------------------------------

function showOverlay() {
  const joint = joining(passing());
  const pointedAt = joint.filter((set) => set.members.includes(state.pointed)).slice(0, LISTED);
  const active = new Set(state.set === null ? pointedAt : [state.set]);
  const sets = [...new Set([...joint.slice(0, state.count), ...active])].filter((set) => set.members.length >= 2);
  const focused = state.pointed !== null || state.set !== null;
  drawOverlay(by("overlay"), by("wrap"), sets, places, data.layout.kind, active, focused);
  const members = new Set([...active].flatMap((set) => set.members));
  players.forEach((player, i) => player.classList.toggle("member", members.has(i)));
  showDetail(pointedAt);
}

function showDetail(joint) {
  const detail = by("detail");
  detail.replaceChildren();
  const members = state.set !== null ? state.set.members : state.pointed === null ? null : [state.pointed];
  if (members === null) {
    detail.append(element("p", "fine", "Point at a player, or at a row of the table below."));
    return;
  }
  const title = element("h3", "", label(members));
  title.dir = "auto";
  detail.append(title);
  const own = state.set || views[state.view].sets.find((set) => set.members.length === 1 && set.members[0] === state.pointed);
  const kind = members.length === 1 ? "Its own effect" : "Their joint effect";
  detail.append(element("p", "", own === undefined ? "No effect of its own was found." : `${kind}: ${effectText(own)}`));
  if (state.set === null) {
    detail.append(element("p", "fine", joint.length ? "Acts together with:" : "No interaction passes the filters."));
    const list = element("ul");
    for (const set of joint) {
      const item = element("li");
      item.append(
        element("bdi", "", label(set.members.filter((i) => i !== state.pointed))),
        element("span", `${signClass(set.effect)}-ink`, ` ${effectText(set)}`),
      );
      list.append(item);
    }
    detail.append(list);
  }
}

function effectText(set) {
  const interval = set.half === null ? "" : ` (90 %: ${intervalText(set)})`;
  return signed(set.effect) + interval + (set.doubtful ? " ○" : "");
}

// -- the table -------------------------------------------------------------------------------------

function showTable() {
  const table = by("effects");
  const sets = passing().slice(0, state.count);
  const { left_out: left, note } = views[state.view];
  by("effects-note").textContent =
    `${views[state.view].name}: ${sets.length} of ${passing().length} that pass the filters` +
    (left ? `; ${left} weaker ones are not in this page.` : ".") +
    (note ? ` ${note}` : "");
  if (table === null) return;
  const largest = strongestOf(views[state.view].sets);
  table.tBodies[0].replaceChildren(...sets.map((set) => tableRow(set, largest)));
}

function tableRow(set, largest) {
  const row = element("tr", set.doubtful ? "doubtful" : "");
  const button = element("button", "", label(set.members));
  button.type = "button";
  button.dir = "auto";
  button.setAttribute("aria-pressed", String(set.members.every((i) => state.removed[i])));
  button.addEventListener("click", () => toggle(set.members));
  const point = (at) => () => pointAt(null, at);
  row.addEventListener("mouseenter", point(set));
  row.addEventListener("mouseleave", point(null));
  button.addEventListener("focus", point(set));
  button.addEventListener("blur", point(null));
  const names = element("td");
  names.append(button);
  const bar = element("td", "bar");
  bar.append(effectBar(set, largest));
  row.append(
    names,
    element("td", "number", String(set.members.length)),
    element("td", "number", signed(set.effect)),
    element("td", "number", intervalText(set) + (set.doubtful ? " ○" : "")),
    bar,
  );
  return row;
}

/** A bar from the middle, to the right for a positive effect. */
function effectBar(set, largest) {
  const width = (50 * Math.abs(set.effect)) / largest;
  const svg = drawn("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  const x = set.effect < 0 ? 50 - width : 50;
  svg.append(drawn("rect", { class: signClass(set.effect), x, y: 1, width, height: 8 }));
  return svg;
}

// -- the prediction --------------------------------------------------------------------------------

function showPrediction() {
  const present = players.map((_, i) => !state.removed[i]);
  const kept = present.filter(Boolean).length;
  const value = evaluate(data.spectrum, present);
  const half = data.spread === null ? null : 1.6448536269514722 * data.spread;
  by("present").textContent = kept === players.length ? "All players present" : `${kept} of ${players.length} players present`;
  by("predicted").textContent = signed(value);
  by("predicted").dataset.value = value;
  by("interval").textContent = half === null ? "" : data.exact ? "(exact)" : `± ${Number(half.toPrecision(3))} (90 %)`;
  const measured = kept === players.length ? data.full : kept === 0 ? data.empty : null;
  by("change").textContent =
    measured !== null ? `· measured ${signed(measured)}`
    : kept < players.length ? `· ${signed(value - predictedFull)} from all present` : "";
  by("caution").textContent = caution(kept, half);
  by("restore").disabled = kept === players.length;
  drawGauge(value, half || 0);
}

function caution(kept, half) {
  const parts = [];
  if (data.measured !== null && !data.exact) {
    const [low, high] = data.measured;
    if (kept < low || kept > high) {
      parts.push(`Most measured masks kept ${Math.round(low)} to ${Math.round(high)} players: with ${kept} present the prediction reaches beyond them, and its interval need not hold.`);
    }
  }
  if (half === null) parts.push("No interval: R² is undefined.");
  if (data.spectrum.left_out) {
    const share = (100 * data.spectrum.energy_kept).toFixed(1);
    parts.push(`This page evaluates the strongest terms only, ${share} % of the recovered variance.`);
  }
  return parts.join(" ");
}

function drawGauge(value, half) {
  const known = [...data.range, value - half, value + half, predictedFull];
  const low = Math.min(...known), high = Math.max(...known);
  const x = (at) => 10 + (580 * (at - low)) / (high - low || 1);
  const tick = (at, name, width) => drawn("rect", { class: name, x: x(at) - width / 2, y: 4, width, height: 26 });
  by("low").textContent = signed(low, 3);
  by("high").textContent = signed(high, 3);
  by("gauge").replaceChildren(
    drawn("path", { class: "track", d: "M10,17H590" }),
    drawn("rect", { class: "spread", x: x(value - half), y: 9, width: x(value + half) - x(value - half), height: 16 }),
    tick(predictedFull, "all", 2),
    tick(value, "now", 5),
  );
}

// -- acts ------------------------------------------------------------------------------------------

function toggle(members) {
  const remove = members.some((i) => !state.removed[i]);
  for (const i of members) state.removed[i] = remove ? 1 : 0;
  showRemoval();
}

function showRemoval() {
  colourPlayers(players, views[state.view].sets, state.removed);
  showPrediction();
  for (const [i, row] of [...(by("effects")?.tBodies[0].rows || [])].entries()) {
    const set = passing()[i];
    row.querySelector("button").setAttribute("aria-pressed", String(set.members.every((j) => state.removed[j])));
  }
}

function pointAt(player, set) {
  if (state.pointed === player && state.set === set) return;
  state.pointed = player;
  state.set = set;
  showOverlay();
}

function showFilters() {
  const { sets, half } = views[state.view];
  const orders = [...new Set(sets.map((set) => set.members.length))].sort((a, b) => a - b);
  if (!orders.includes(Number(state.filters.order))) state.filters.order = "";
  by("order").replaceChildren(new Option("any", ""), ...orders.map((order) => new Option(String(order), String(order))));
  by("order").value = state.filters.order;
  by("sure-label").hidden = half === null;
  by("stage").classList.toggle("deep", orders.some((order) => order > 2));
}

function showSets() {
  const most = passing().length;
  const slider = by("count");
  slider.max = most;
  slider.value = Math.min(state.count, most);
  by("count-shown").textContent = String(Math.min(state.count, most));
  state.set = null;
  showTable();
  showOverlay();
}

function playerOf(event) {
  const found = event.target.closest?.(".player");
  return found ? Number(found.dataset.player) : null;
}

function moveFocus(to) {
  for (const player of players) player.tabIndex = -1;
  players[to].tabIndex = 0;
  players[to].focus();
}

function listen() {
  const stage = by("stage");
  stage.addEventListener("mouseover", (event) => pointAt(playerOf(event), null));
  stage.addEventListener("mouseleave", () => pointAt(null, null));
  stage.addEventListener("focusin", (event) => pointAt(playerOf(event), null));
  stage.addEventListener("focusout", () => pointAt(null, null));
  stage.addEventListener("click", (event) => {
    const player = playerOf(event);
    if (player !== null) toggle([player]);
  });
  stage.addEventListener("keydown", (event) => {
    const player = playerOf(event);
    if (player === null) return;
    const to = neighbour(players, player, event.key);
    if (to !== null) moveFocus(to);
    else if (event.key === "Enter" || event.key === " ") toggle([player]);
    else return;
    event.preventDefault();
  });
  by("view").append(...views.map((view, i) => new Option(view.name, String(i))));
  by("view").addEventListener("change", (event) => {
    state.view = Number(event.target.value);
    showFilters();
    colourPlayers(players, views[state.view].sets, state.removed);
    showSets();
  });
  by("count").addEventListener("input", (event) => {
    state.count = Number(event.target.value);
    showSets();
  });
  for (const name of ["order", "sign"]) {
    by(name).addEventListener("change", (event) => {
      state.filters[name] = event.target.value;
      showSets();
    });
  }
  by("sure").addEventListener("change", (event) => {
    state.filters.sure = event.target.checked;
    showSets();
  });
  by("restore").addEventListener("click", () => {
    state.removed.fill(0);
    showRemoval();
  });
  new ResizeObserver(() => {
    places = anchors(players, by("wrap"));
    showOverlay();
  }).observe(stage);
}

by("explore").hidden = by("effects-hint").hidden = false;
listen();
showFilters();
colourPlayers(players, views[state.view].sets, state.removed);
places = anchors(players, by("wrap"));
showSets();
showPrediction();
