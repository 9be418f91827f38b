// How numbers are printed: the rules of atlas/render/numbers.py, to the last digit (a test compares them).

/** To a whole number; an exact half goes to the even one, as Python rounds. */
function even(value) {
  return Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value);
}

/** To so many places. */
function fixed(value, places) {
  const exact = Number.isInteger(value * 2 ** 20); // then so is the product, and a half is a half
  const scaled = value * 10 ** places;
  return exact && Math.abs(scaled % 1) === 0.5 ? (even(scaled) / 10 ** places).toFixed(places) : value.toFixed(places);
}

/** Thousands parted by commas. */
function grouped(text) {
  const [whole, part] = text.split(".");
  const parted = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part === undefined ? parted : `${parted}.${part}`;
}

/** So many significant digits, without an exponent unless very small or large. */
function significant(value, digits = 3) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  if (magnitude < -4 || magnitude > 8) {
    return value.toExponential(digits - 1).replace(/e([+-])(\d)$/, "e$10$2");
  }
  const places = digits - 1 - magnitude;
  const rounded = places < 0 ? even(value / 10 ** -places) * 10 ** -places : Number(fixed(value, places));
  const text = rounded.toFixed(Math.max(0, places));
  return grouped(text.includes(".") ? text.replace(/\.?0+$/, "") : text);
}

/** An activation: three significant digits, whole from 100 up. */
export function activation(value) {
  return value >= 100 ? grouped(fixed(value, 0)) : significant(value);
}

/** A share as a percentage. */
export function percent(share) {
  const value = 100 * share;
  const text = share === 0 ? "0" : significant(value, value >= 1 ? 3 : 2);
  return text === "100" && share < 1 ? ">99.9%" : `${text}%`;
}

/** Intensity from 1 (faint) to 9 (the feature's maximum); 0 for silence. */
export function level(value, maximum) {
  return value > 0 && maximum > 0 ? Math.min(9, Math.max(1, Math.ceil((9 * value) / maximum))) : 0;
}
