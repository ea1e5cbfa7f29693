// Items of a gallery as the server tells of them; null where it does not answer. `data` is a grid's: { gallery, view }.

const MOST = 1000;  // ids of one question, which is an address

const ask = async (kind, gallery, asked) => {
  const answer = await fetch(`${kind}/${encodeURIComponent(gallery)}?${new URLSearchParams(asked)}`).catch(() => null);
  return answer?.ok ? answer.json().catch(() => null) : null;
};
export const someItems = async ({ gallery, view = '' }, start, count) => (await ask('items', gallery, { start, count, view }))?.items ?? null;
export const allIds = async ({ gallery, view = '' }) => (await ask('ids', gallery, { view }))?.ids ?? null;

// Those that are still there.
export const namedItems = async (gallery, ids) => {
  const found = [];
  for (let from = 0; from < ids.length; from += MOST) {
    const part = ids.slice(from, from + MOST), told = await ask('items', gallery, { ids: part.join(), count: MOST });
    if (!told) return null;
    found.push(...told.items);
  }
  return found;
};
