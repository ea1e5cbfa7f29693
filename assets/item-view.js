// Opens the large view, which comes when something is opened for the first time (large-view.js).
// Runs inside the gr.HTML whose value is what the server tells of the open item (`props`, `watch`).

export default (part) => {
  let view = null;
  unifex.openFrom = async (card, item) => {
    view ||= import('./large-view.js').then((module) => module.default(part));
    (await view).open(card, item);
  };
};
