// The page's sentences in the language of the server: English stands in the scripts and is the key to every other one
// (unifex/core/language.py). Both take literals, which the catalogs are made of: `say(text, { name: value })` puts values in
// the place of {name}, `plural(count, one, many)` says how many there are.

const { gap = ',', forms = '', texts = {} } = globalThis.unifexWords ?? {};

export const thousands = (number) => number.toLocaleString('en').replaceAll(',', gap);
export const say = (text, values = {}) => (texts[text]?.[0] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
export const plural = (count, one, many) => {
  const form = count < 200 ? count : 100 + count % 100;
  return `${thousands(count)} ${texts[one]?.[forms[form] ?? 0] ?? (count === 1 ? one : many)}`;
};
