// Sorting by a table's head, opening the pictures of a row or a cell, undoing. Runs inside gr.HTML (`element`, `trigger`).

export default ({ element, trigger }) => {
  const sortBy = (button) => {
    const head = button.closest('th'), table = head.closest('table'), body = table.tBodies[0];
    const column = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute('aria-sort') !== 'descending';
    for (const other of head.parentNode.children) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const value = (row) => row.cells[column].dataset.value;
    const numbers = [...body.rows].every((row) => value(row) !== '' && !Number.isNaN(Number(value(row))));
    const compare = (a, b) => (numbers ? value(a) - value(b) : value(a).localeCompare(value(b)));
    body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * compare(a, b)));
  };
  element.addEventListener('click', (event) => {
    const sort = event.target.closest('[data-sort]'), act = event.target.closest('[data-act]');
    const open = event.target.closest('[data-part]') || event.target.closest('tbody tr')?.querySelector('.opens');
    if (sort) sortBy(sort);
    else if (act) trigger('input', { act: act.dataset.act, item: act.dataset.item });
    else if (open && !String(window.getSelection())) unifex.part(JSON.parse(open.dataset.part));
  });
};
