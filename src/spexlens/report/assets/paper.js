// On paper: the players' drawing is as wide as the page, and small enough to stand on one.

const PAPER = { width: 660, height: 880 }; // CSS pixels within the margins of A4 and Letter
const SMALLEST_TEXT = 0.6; // times its size on the screen

/** The scale at which the drawing fits on one page; laid out at it, text wraps later. */
function paperScale(wrap) {
  by("overlay").setAttribute("width", 0); // else its old size counts
  by("overlay").setAttribute("height", 0);
  let scale = 1;
  const fits = () => {
    wrap.style.width = `${PAPER.width / scale}px`;
    return scale * wrap.scrollWidth <= PAPER.width + 1 && scale * wrap.scrollHeight <= PAPER.height;
  };
  while (!fits() && scale > 0.1) scale *= 0.95;
  return scale;
}

function drawForPaper() {
  const wrap = by("wrap");
  let scale = paperScale(wrap);
  // A text too long for one page has no arcs there: lines move where pages end.
  const long = data.layout.kind !== "grid" && scale < SMALLEST_TEXT;
  document.body.classList.toggle("long", long);
  if (long) scale = 1;
  wrap.style.width = `${PAPER.width / scale}px`;
  places = anchors(players, wrap); // in pixels that are not scaled yet
  showOverlay();
  wrap.style.zoom = scale;
}

function drawForScreen() {
  const wrap = by("wrap");
  document.body.classList.remove("long");
  wrap.style.width = wrap.style.zoom = "";
  places = anchors(players, wrap);
  showOverlay();
}

addEventListener("beforeprint", drawForPaper);
addEventListener("afterprint", drawForScreen);
