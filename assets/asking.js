// A question in a small dialog of the browser's own. `ask` promises what was answered, or null: { pressed, text }.
// `field`: { label, value, most, suggested (a list, or the promise of one), single }; `answers`: what is answered,
// by what its button says, the first is Enter's; a `grave` question has Cancel in focus.

import { say } from './say.js';

const SHOWN = 14;
const make = (tag, values = {}, ...parts) => {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...parts.filter(Boolean));
  return made;
};

const suggestions = (field, input) => {
  const list = make('div', { className: 'suggested' });
  const written = () => field.single ? [input.value.trim()] : input.value.split(',').map((word) => word.trim());
  Promise.resolve(field.suggested || []).then((words) => {
    const show = () => {
      const last = written().at(-1).toLowerCase(), there = new Set(written());
      const fitting = words.filter((word) => !there.has(word) && (field.single || word.toLowerCase().includes(last)));
      list.replaceChildren(...fitting.slice(0, SHOWN).map((word) => make('button', {
        type: 'button', textContent: word, onclick: () => {
          const kept = field.single ? [] : written().slice(0, -1);
          input.value = [...kept, word].join(', ');
          input.focus();
          show();
        },
      })));
    };
    input.addEventListener('input', show);
    show();
  });
  return list;
};

export const ask = ({ title, text, field, answers, grave }) => new Promise((answered) => {
  if (document.querySelector('dialog.ask')) return answered(null);  // pressed twice
  const input = field && make('input', { type: 'text', value: field.value || '', maxLength: field.most, autocomplete: 'off' });
  const press = ([value, textContent]) => make('button', { type: 'submit', value, textContent, className: grave ? 'grave' : 'act primary' });
  const cancel = make('button', { type: 'button', className: 'act', textContent: Object.keys(answers).length ? say('Cancel') : say('Close') });
  const heading = make('h2', { id: 'asked', textContent: title });
  const form = make('form', { method: 'dialog' },
    heading,
    text && make('p', { textContent: text }),
    input && make('label', {}, field.label, input),
    input && suggestions(field, input),
    make('div', { className: 'answers' }, ...Object.entries(answers).map(press), cancel));
  const dialog = make('dialog', { className: 'ask' }, form);
  dialog.setAttribute('aria-labelledby', 'asked');
  cancel.onclick = () => dialog.close();
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const given = input ? input.value.trim() : '';
    if (input && !given) return input.focus();
    dialog.returnValue = event.submitter?.value || Object.keys(answers)[0];
    answered({ pressed: dialog.returnValue, text: given });
    dialog.close();
  });
  dialog.addEventListener('close', () => {
    dialog.remove();
    answered(null);  // unless there was an answer
  });
  document.querySelector('.gradio-container').append(dialog);
  dialog.showModal();
  if (grave || !input) cancel.focus();
  else input.select();
});
