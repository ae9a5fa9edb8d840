// The recovered function, in the basis of spexlens/core/spectrum.py.

/** f(x) = sum_S F(S) prod_{i in S} phi_i(x) at one mask; `present[i]` is truthy for a player kept. */
function evaluate(spectrum, present) {
  const phi = spectrum.present.map((value, i) => (present[i] ? value : spectrum.absent[i]));
  let total = 0;
  for (const { order, members, coefficients } of spectrum.groups) {
    let at = 0;
    for (const coefficient of coefficients) {
      let product = coefficient;
      for (const end = at + order; at < end; at++) product *= phi[members[at]];
      total += product;
    }
  }
  return total;
}
