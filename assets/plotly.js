// Loads Plotly once for the whole page. Runs inside gr.HTML before the script that draws. Its address is no prop: what is
// told something before its tab was ever open forgets its props.
const library = () => {
  window.unifexPlotly ||= new Promise((done, fail) => {
    const script = document.createElement('script');
    script.src = 'plotly.js';
    script.onload = done;
    script.onerror = () => fail(new Error('Plotly could not be loaded'));
    document.head.append(script);
  });
  return window.unifexPlotly;
};
