// Loads Plotly once for the whole page.
let loading = null;
export const plotly = () => {
  loading ||= new Promise((done, fail) => {
    const script = document.createElement('script');
    script.src = 'plotly.js';
    script.onload = done;
    script.onerror = () => fail(new Error('Plotly could not be loaded'));
    document.head.append(script);
  });
  return loading;
};
