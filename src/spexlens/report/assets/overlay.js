// Interactions over the players: arcs for pairs; for larger sets a bracket with a numbered dot.

const HUB = 7; // radius of a dot
const LANES = 3, LANE_HEIGHT = 12; // brackets over one line of text
const ARC_HEIGHT = 30;

/** Where every player stands, in pixels of the overlay; the first line of one that wraps. */
function anchors(players, wrap) {
  const origin = wrap.getBoundingClientRect();
  const left = origin.left - wrap.scrollLeft, top = origin.top - wrap.scrollTop;
  return players.map((player) => {
    const box = player.getClientRects()[0] || origin;
    return {
      x: box.left - left + box.width / 2,
      top: box.top - top,
      bottom: box.bottom - top,
      middle: (box.top + box.bottom) / 2 - top,
    };
  });
}

/** An arc between two players: above them on one line, from line to line otherwise. */
function arc(a, b) {
  if (Math.abs(a.top - b.top) < 6) {
    const height = Math.min(ARC_HEIGHT, 12 + 0.14 * Math.abs(a.x - b.x));
    return `M${a.x},${a.top}C${a.x},${a.top - height} ${b.x},${b.top - height} ${b.x},${b.top}`;
  }
  const [upper, lower] = a.top < b.top ? [a, b] : [b, a];
  const bend = Math.max(14, (lower.top - upper.bottom) / 2);
  return `M${upper.x},${upper.bottom}C${upper.x},${upper.bottom + bend} ${lower.x},${lower.top - bend} ${lower.x},${lower.top}`;
}

/** From a dot to a player on another line, leaving and arriving upright. */
function spoke(hub, place) {
  const below = place.top >= hub.y;
  const end = below ? place.top : place.bottom;
  const bend = (end - hub.y) / 2;
  return `M${hub.x},${hub.y}C${hub.x},${hub.y + bend} ${place.x},${end - bend} ${place.x},${end}`;
}

/** A place for a dot in [low, high] next to `x`, clear of the dots on its height where there is one. */
function freePlace(x, y, dots, low, high) {
  const free = (tried) => dots.every((dot) => Math.hypot(dot.x - tried, dot.y - y) > 2.3 * HUB);
  for (let step = 0; step < 80; step++) {
    const tried = x + (step % 2 ? 1 : -1) * Math.ceil(step / 2) * HUB;
    if (tried >= low && tried <= high && free(tried)) return { x: tried, y };
  }
  return { x, y };
}

/** The lowest lane above a line of text in which [low, high] is free, else the least used one. */
function freeLane(line, low, high, lanes) {
  const crossings = Array(LANES).fill(0);
  for (const taken of lanes) {
    if (Math.abs(taken.line - line) < 6 && taken.low < high && taken.high > low) crossings[taken.lane]++;
  }
  const lane = crossings.indexOf(Math.min(...crossings));
  lanes.push({ line, low, high, lane });
  return lane;
}

/** A bracket over the members on one line, its dot, and spokes to members on other lines. */
function bracket(at, drawnSoFar, width) {
  const tops = at.map((place) => place.top).sort((a, b) => a - b);
  const line = tops[Math.floor((tops.length - 1) / 2)];
  const near = at.filter((place) => Math.abs(place.top - line) < 6);
  const xs = near.map((place) => place.x).sort((a, b) => a - b);
  const low = xs[0], high = xs[xs.length - 1];
  const lane = freeLane(line, low - HUB, high + HUB, drawnSoFar.lanes);
  const y = line - 9 - LANE_HEIGHT * lane;
  const room = near.length > 1 ? [low, high] : [Math.max(HUB, low - 60), Math.min(width - HUB, high + 60)];
  const hub = freePlace((low + high) / 2, y, drawnSoFar.dots, ...room);
  const reach = [Math.min(low, hub.x), Math.max(high, hub.x)];
  const posts = near.map((place) => `M${place.x},${place.top}V${y}`);
  const far = at.filter((place) => !near.includes(place));
  return { hub, paths: [`${posts.join("")}M${reach[0]},${y}H${reach[1]}`, ...far.map((place) => spoke(hub, place))] };
}

/** A line bowed a little, so that it does not run through the middles of the cells between. */
function bow(a, b) {
  const bend = 0.12 * Math.hypot(a.x - b.x, a.middle - b.middle);
  return `M${a.x},${a.middle}Q${(a.x + b.x) / 2 + bend},${(a.middle + b.middle) / 2 - bend} ${b.x},${b.middle}`;
}

function star(at, drawnSoFar, width) {
  const mean = (name) => at.reduce((sum, place) => sum + place[name], 0) / at.length;
  const hub = freePlace(mean("x"), mean("middle"), drawnSoFar.dots, HUB, width - HUB);
  return { hub, paths: at.map((place) => `M${hub.x},${hub.y}L${place.x},${place.middle}`) };
}

/** Paths, and for a larger set its dot, in the layout's way of drawing. */
function shape(at, kind, drawnSoFar, width) {
  if (kind === "grid") return at.length === 2 ? { paths: [bow(...at)] } : star(at, drawnSoFar, width);
  return at.length === 2 ? { paths: [arc(...at)] } : bracket(at, drawnSoFar, width);
}

/** Draw the sets; those in `active` stand out where `focused`. */
function drawOverlay(overlay, wrap, sets, places, kind, active, focused) {
  const width = wrap.scrollWidth;
  overlay.replaceChildren();
  overlay.setAttribute("width", width);
  overlay.setAttribute("height", wrap.scrollHeight);
  overlay.classList.toggle("over", kind !== "text");
  overlay.classList.toggle("focused", focused);
  const largest = strongestOf(sets);
  const drawnSoFar = { dots: [], lanes: [] };
  for (const set of sets) {
    const { paths, hub } = shape(set.members.map((i) => places[i]), kind, drawnSoFar, width);
    const classes = ["edge", signClass(set.effect)];
    if (set.doubtful) classes.push("doubtful");
    if (active.has(set)) classes.push("active");
    const group = drawn("g", { class: classes.join(" ") });
    const stroke = (1 + (3 * Math.abs(set.effect)) / largest).toFixed(2);
    for (const path of paths) group.append(drawn("path", { d: path, "stroke-width": stroke }));
    if (hub !== undefined) {
      drawnSoFar.dots.push(hub);
      group.append(
        drawn("circle", { cx: hub.x, cy: hub.y, r: HUB }),
        drawn("text", { x: hub.x, y: hub.y + 3.5 }, String(set.members.length)),
      );
    }
    overlay.append(group);
  }
}
