// The players in their layout: in a text, on a grid of layers and heads, or as items.

const SHOWN_LENGTH = 80;

/** A name of nothing but whitespace made visible, a long one cut. */
function shortened(name) {
  if (name.trim() === "") {
    return name.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "(empty)";
  }
  return name.length <= SHOWN_LENGTH ? name : name.slice(0, SHOWN_LENGTH) + "…";
}

const LAYOUTS = {
  text(stage, layout, players) {
    players.forEach((player, i) => {
      stage.append(element("span", "gap", layout.gaps[i]), player);
      player.textContent = shortened(player.dataset.name);
      if (player.dataset.name.trim() === "") stage.append("\n".repeat(player.dataset.name.split("\n").length - 1));
    });
    stage.append(element("span", "gap", layout.gaps[players.length]));
  },

  grid(stage, layout, players) {
    stage.style.gridTemplateColumns = `auto repeat(${layout.columns.length}, auto)`;
    const place = (made, row, column) => {
      made.style.gridRow = row + 1;
      made.style.gridColumn = column + 1;
      stage.append(made);
    };
    layout.rows.forEach((name, row) => place(element("span", "head", name), row + 1, 0));
    layout.columns.forEach((name, column) => place(element("span", "head", name), 0, column + 1));
    players.forEach((player, i) => place(player, layout.cells[i][0] + 1, layout.cells[i][1] + 1));
  },

  items(stage, layout, players) {
    players.forEach((player, i) => {
      player.append(element("span", "name", shortened(player.dataset.label)));
      const { text, image } = layout.items[i];
      if (image === undefined) {
        player.append(element("span", "what", text));
      } else {
        const picture = element("img");
        picture.alt = "";
        picture.src = image;
        player.append(picture);
      }
      stage.append(player);
    });
  },
};

/** One element a player, in the layout's places; names are put in as text. */
function buildStage(stage, data) {
  const players = data.players.map((name, i) => {
    const player = element("span", "player");
    player.setAttribute("role", "button");
    player.dir = "auto";
    player.tabIndex = i === 0 ? 0 : -1;
    player.dataset.player = i;
    player.dataset.name = name;
    player.dataset.label = data.labels[i];
    return player;
  });
  stage.classList.add(data.layout.kind);
  LAYOUTS[data.layout.kind](stage, data.layout, players);
  return players;
}

/** The player that an arrow key leads to: along the reading order, or to the nearest in the row above or below. */
function neighbour(players, from, key) {
  const last = players.length - 1;
  const along = { ArrowRight: from + 1, ArrowLeft: from - 1, Home: 0, End: last }[key];
  if (along !== undefined) return Math.min(Math.max(along, 0), last);
  const direction = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (direction === undefined) return null;
  const here = players[from].getBoundingClientRect();
  let best = from, nearest = Infinity;
  players.forEach((player, i) => {
    const there = player.getBoundingClientRect();
    const down = (there.top - here.top) * direction;
    if (down < here.height / 2) return;
    const distance = 10 * down + Math.abs(there.left + there.width / 2 - here.left - here.width / 2);
    if (distance < nearest) [best, nearest] = [i, distance];
  });
  return best;
}

/** Colour every player by its own effect in the view, and tell it to a screen reader. */
function colourPlayers(players, sets, removed) {
  const own = new Map(sets.filter((set) => set.members.length === 1).map((set) => [set.members[0], set]));
  const largest = strongestOf([...own.values()]);
  const joint = new Map();
  for (const set of sets) {
    if (set.members.length < 2) continue;
    for (const member of set.members) joint.set(member, (joint.get(member) || 0) + 1);
  }
  players.forEach((player, i) => {
    const set = own.get(i);
    const effect = set === undefined ? 0 : set.effect;
    const share = (Math.abs(effect) / largest) * (set && set.doubtful ? 0.4 : 1);
    player.classList.toggle("pos", effect > 0);
    player.classList.toggle("neg", effect < 0);
    player.classList.toggle("removed", Boolean(removed[i]));
    player.style.setProperty("--share", `${Math.round(45 * share)}%`);
    player.style.setProperty("--share-line", `${Math.round(100 * Math.min(1, 1.6 * share))}%`);
    player.setAttribute("aria-pressed", String(Boolean(removed[i])));
    const alone = set === undefined ? "no effect of its own" : `effect ${signed(effect)}`;
    player.setAttribute(
      "aria-label",
      `${shortened(player.dataset.label)}, ${alone}, ${joint.get(i) || 0} interactions, ${removed[i] ? "removed" : "present"}`,
    );
  });
}
