// Names that are too long for their cards. Labels of one kind begin alike and end differently: the middle goes.

const pen = document.createElement('canvas').getContext('2d');
const letters = (text) => [...text];

// What the name of a card has in `parent`, to which `card` is added for a moment: { font, width, lines }. Where nothing is
// seen yet, that of a card of this size in pixels.
export const roomIn = (parent, card, size) => {
  parent.append(card);
  const name = card.querySelector('.name'), style = getComputedStyle(name);
  const padding = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
  const room = {
    font: `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`,
    width: (name.clientWidth || size - 2) - padding,
    lines: Number(style.webkitLineClamp) || 1,
  };
  card.remove();
  return room;
};

const wide = (text, { font }) => {
  pen.font = font;
  return pen.measureText(text).width;
};
// Where a name may be parted without harm: after what stands between its words, and before a capital within one.
const PARTS = /(?<=[\s\-/\\_.,:|])|(?<=\p{Ll})(?=\p{Lu})/u;
const fitByWords = (words, room) => {
  let lines = 1, used = 0;
  for (const word of words) {
    const width = wide(word.trimEnd(), room);
    if (width > room.width) return false;
    if (used + width > room.width) [lines, used] = [lines + 1, 0];
    used += wide(word, room);
  }
  return lines <= room.lines;
};
const fitsByLetters = (text, room) => wide(text, room) <= room.lines * room.width - (room.lines - 1) * wide('m', room);

const shortened = (text, room) => {
  const all = letters(text), kept = (most) => `${all.slice(0, Math.ceil(most / 2)).join('')}…${all.slice(all.length - Math.floor(most / 2)).join('')}`;
  let least = 2, most = all.length;  // so many letters fit, so many do not
  while (most - least > 1) {
    const middle = (least + most) >> 1;
    if (fitsByLetters(kept(middle), room)) least = middle;
    else most = middle;
  }
  return kept(least);
};

// -> what is written, in parts between which a line may end, and whether lines may end within them, which leaves room for more
export const shortName = (text, room) => {
  const words = text.split(PARTS);
  if (fitByWords(words, room)) return [words, false];
  return [[fitsByLetters(text, room) ? text : shortened(text, room)], true];
};
