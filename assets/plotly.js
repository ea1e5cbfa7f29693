// Loads Plotly once for the whole page. Runs inside gr.HTML before the script that draws (`props.library`).
const library = () => {
  window.unifexPlotly ||= new Promise((done, fail) => {
    const script = document.createElement('script');
    script.src = props.library;
    script.onload = done;
    script.onerror = () => fail(new Error('Plotly could not be loaded'));
    document.head.append(script);
  });
  return window.unifexPlotly;
};
