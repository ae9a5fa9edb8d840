// Effects of sets: unpacking, filtering, and how numbers and names are written.

const MINUS = "\u2212";
const NEGLIGIBLE = 0.01; // as in the pictures

/** A number with its sign and four significant digits. */
function signed(value, digits = 4) {
  const rounding = 1e-12 * data.range[1] - 1e-12 * data.range[0];
  const size = Math.abs(value);
  const text = size <= rounding ? "0" : String(Number(size.toPrecision(digits)));
  return (value < 0 ? MINUS : "+") + text;
}

/** The sets of a view as objects, strongest first. */
function unpack(view) {
  return view.sets.map((members, i) => {
    const half = view.half === null ? null : view.half[i];
    const effect = view.effects[i];
    return { members, effect, half, doubtful: half !== null && Math.abs(effect) <= half };
  });
}

function intervalText(set) {
  if (set.half === null) return "";
  return `${signed(set.effect - set.half, 3)} … ${signed(set.effect + set.half, 3)}`;
}

/** Whether a set passes the filters: order ("" = any), sign ("" = both), sure. */
function passes(set, filters) {
  if (filters.order !== "" && set.members.length !== Number(filters.order)) return false;
  if (filters.sign !== "" && Math.sign(set.effect) !== Number(filters.sign)) return false;
  return !(filters.sure && set.doubtful);
}

/** The sets of two or more players that are drawn: a line for less would be as wide as for nothing. */
function joining(sets) {
  const least = NEGLIGIBLE * strongestOf(sets);
  return sets.filter((set) => set.members.length >= 2 && Math.abs(set.effect) >= least);
}

function strongestOf(sets) {
  return sets.reduce((largest, set) => Math.max(largest, Math.abs(set.effect)), 0) || 1;
}

function signClass(effect) {
  return effect < 0 ? "neg" : "pos";
}

// -- making elements: text only ever arrives as text nodes -------------------------------------

function element(tag, classes = "", text = null) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== null) made.textContent = text;
  return made;
}

function drawn(tag, attributes, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}
