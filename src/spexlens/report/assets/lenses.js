// The players of two lenses on two sides, curves between those that act together, and one player's paths.

const PAIRS_AT_FIRST = 20;
const PATHS_LISTED = 8;
const ROWS_OF_ALL = 40; // players of a lens that are all drawn, with a curve or without

const lenses = data.lenses === null ? null : {
  ...data.lenses,
  sides: data.lenses.sides.map((side) => ({ ...side, pairs: unpack(side) })).filter((side) => side.pairs.length),
};
const across = { side: 0, count: PAIRS_AT_FIRST, sure: false, chosen: null, pointed: null };

const lensOf = (player) => lenses.blocks.findIndex(([first, end]) => first <= player && player < end);
const ownEffect = (player) => views[0].sets.find((set) => set.members.length === 1 && set.members[0] === player);
const passingPairs = () => lenses.sides[across.side].pairs.filter((pair) => !(across.sure && pair.doubtful));
const drawnPairs = () => passingPairs().slice(0, across.count);

/** Players of a lens that stand on its side: all, or of a large lens those with a curve. */
function standing(lens, pairs) {
  const [first, end] = lenses.blocks[lens];
  const joined = new Set(pairs.flatMap((pair) => pair.members));
  const all = Array.from({ length: end - first }, (_, i) => first + i);
  return all.length <= ROWS_OF_ALL ? all : all.filter((player) => joined.has(player));
}

// -- the drawing -----------------------------------------------------------------------------------

function showSides() {
  const pairs = drawnPairs();
  const columns = lenses.sides[across.side].lenses.map((lens) => standing(lens, pairs));
  const rows = Math.max(4, ...columns.map((column) => column.length));
  by("across").style.setProperty("--rows", rows);
  const largest = strongestOf(columns.flat().map(ownEffect).filter(Boolean));
  const heights = new Map();
  for (const [side, id] of ["left", "right"].entries()) {
    const lens = lenses.sides[across.side].lenses[side];
    const [first, end] = lenses.blocks[lens];
    const shown = columns[side].length;
    by(`${id}-title`).textContent = lenses.names[lens] + (shown < end - first ? ` (${shown} of ${end - first})` : "");
    by(id).replaceChildren(...columns[side].map((player) => sideButton(player, largest, pairs)));
    by(id).firstElementChild.tabIndex = 0; // the others are reached by arrow keys
    columns[side].forEach((player, row) => heights.set(player, (100 * (row + 0.5)) / shown));
  }
  drawCurves(pairs, heights);
  showCount(pairs.length);
  showPaths();
}

function sideButton(player, largest, pairs) {
  const button = element("button");
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.player = player;
  const own = ownEffect(player);
  const joint = pairs.filter((pair) => pair.members.includes(player)).length;
  const alone = own === undefined ? "no effect of its own" : `effect ${signed(own.effect)}`;
  button.setAttribute("aria-label", `${shortened(data.labels[player])}, ${alone}, ${joint} of the pairs drawn`);
  const dot = drawn("svg", { class: "dot", viewBox: "0 0 20 16" });
  const radius = own === undefined ? 1.5 : 1.5 + 5.5 * Math.sqrt(Math.abs(own.effect) / largest);
  dot.append(drawn("circle", { class: signClass(own === undefined ? 0 : own.effect), cx: 10, cy: 8, r: radius }));
  const name = element("bdi", "name", shortened(data.labels[player]));
  button.append(dot, name);
  return button;
}

/** Every curve from left to right, in shares of the drawing; the strongest on top. */
function drawCurves(pairs, heights) {
  const largest = strongestOf(pairs);
  by("curves").replaceChildren(...[...pairs].reverse().map((pair) => {
    const [left, right] = byLens(pair.members).map((player) => heights.get(player).toFixed(2));
    const group = drawn("g", { class: `edge ${signClass(pair.effect)}${pair.doubtful ? " doubtful" : ""}` });
    group.dataset.members = pair.members.join(" ");
    const width = (0.8 + (4.2 * Math.abs(pair.effect)) / largest).toFixed(2);
    group.append(drawn("path", { d: `M0,${left}C45,${left} 55,${right} 100,${right}`, "stroke-width": width }));
    return group;
  }));
}

/** A pair's players in the order of the two sides. */
function byLens(members) {
  const [left] = lenses.sides[across.side].lenses;
  return lensOf(members[0]) === left ? members : [...members].reverse();
}

function showCount(count) {
  const { left_out } = lenses.sides[across.side];
  by("pairs").max = Math.max(1, passingPairs().length);
  by("pairs").value = count;
  by("pairs-shown").textContent = String(count);
  by("pairs-note").textContent =
    `${count} of ${passingPairs().length} pairs are drawn` +
    (left_out ? `; ${left_out} weaker ones are not in this page.` : ".") +
    " A dot is as large as the player's own effect.";
}

// -- the paths of one player -----------------------------------------------------------------------

function showPaths() {
  const player = across.pointed ?? across.chosen;
  const pairs = lenses.sides[across.side].pairs.filter((pair) => pair.members.includes(player));
  for (const button of document.querySelectorAll(".side button")) {
    const one = Number(button.dataset.player);
    button.setAttribute("aria-pressed", String(one === across.chosen));
    button.classList.toggle("member", one === player || pairs.some((pair) => pair.members.includes(one)));
  }
  for (const curve of by("curves").children) {
    curve.classList.toggle("active", curve.dataset.members.split(" ").map(Number).includes(player));
  }
  const does = lenses.does[player];
  const title = element("h3", "", shortened(data.labels[player]));
  title.dir = "auto";
  const other = lenses.sides[across.side].lenses.find((lens) => lens !== lensOf(player));
  const carries = pairs.filter((pair) => pair.effect * does >= 0);
  const makesUp = pairs.filter((pair) => pair.effect * does < 0);
  by("path").replaceChildren(
    title,
    element("p", "", `What it does in the full input: ${signed(does)}.`),
    ...pathList(`Acts through ${lenses.names[other]}`, carries, player),
    ...pathList(`Made up for by ${lenses.names[other]}`, makesUp, player),
  );
}

function pathList(heading, pairs, player) {
  const list = element("ul");
  for (const pair of pairs.slice(0, PATHS_LISTED)) {
    const item = element("li");
    const partner = pair.members.find((member) => member !== player);
    item.append(
      element("bdi", "", shortened(data.labels[partner])),
      element("span", `${signClass(pair.effect)}-ink`, ` ${effectText(pair)}`),
    );
    list.append(item);
  }
  const rest = pairs.length - PATHS_LISTED;
  const told = pairs.length === 0 ? "None was found." : rest > 0 ? `and ${rest} weaker ones` : "";
  return [element("h4", "", heading), list, ...(told ? [element("p", "fine", told)] : [])];
}

// -- acts ------------------------------------------------------------------------------------------

function choose(player) {
  across.chosen = player;
  by("path-of").value = String(player);
  showPaths();
}

/** The arrow keys walk up and down one side. */
function moveOnSide(side, event) {
  const buttons = [...side.children];
  const from = buttons.indexOf(event.target);
  const to = { ArrowDown: from + 1, ArrowUp: from - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined || buttons[to] === undefined) return;
  for (const button of buttons) button.tabIndex = -1;
  buttons[to].tabIndex = 0;
  buttons[to].focus();
  event.preventDefault();
}

/** Offer the players of the two sides; the left one of the strongest pair is chosen. */
function showChoice() {
  by("path-of").replaceChildren(...lenses.sides[across.side].lenses.map((lens) => {
    const group = element("optgroup");
    group.label = lenses.names[lens];
    const [first, end] = lenses.blocks[lens];
    for (let player = first; player < end; player++) group.append(new Option(shortened(data.labels[player]), String(player)));
    return group;
  }));
  across.chosen = byLens(lenses.sides[across.side].pairs[0].members)[0];
  across.pointed = null;
  by("path-of").value = String(across.chosen);
}

function listenAcross() {
  by("sides").append(...lenses.sides.map(
    (side, i) => new Option(side.lenses.map((lens) => lenses.names[lens]).join(" × "), String(i)),
  ));
  by("sides-label").hidden = lenses.sides.length < 2;
  by("pairs-sure-label").hidden = lenses.sides[0].half === null;
  by("sides").addEventListener("change", (event) => {
    across.side = Number(event.target.value);
    showChoice();
    showSides();
  });
  by("pairs").addEventListener("input", (event) => {
    across.count = Number(event.target.value);
    showSides();
  });
  by("pairs-sure").addEventListener("change", (event) => {
    across.sure = event.target.checked;
    showSides();
  });
  by("path-of").addEventListener("change", (event) => choose(Number(event.target.value)));
  for (const id of ["left", "right"]) {
    const playerAt = (event) => event.target.closest?.(".side button")?.dataset.player;
    const point = (event) => {
      const player = playerAt(event);
      across.pointed = player === undefined ? null : Number(player);
      showPaths();
    };
    for (const name of ["mouseover", "focusin"]) by(id).addEventListener(name, point);
    for (const name of ["mouseleave", "focusout"]) {
      by(id).addEventListener(name, () => {
        across.pointed = null;
        showPaths();
      });
    }
    by(id).addEventListener("click", (event) => {
      const player = playerAt(event);
      if (player !== undefined) choose(Number(player));
    });
    by(id).addEventListener("keydown", (event) => moveOnSide(by(id), event));
  }
}

if (lenses !== null && lenses.sides.length) {
  by("across").hidden = false;
  listenAcross();
  showChoice();
  showSides();
}
