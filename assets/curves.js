// A training's curves: loss on the left axis, held-out mMP@5 on the right. Runs inside gr.HTML
// (`element`, `props`, `watch`). The value is JSON: { epochs, total, loss, scores: { dim: [...] } }, or empty.
import { plotly } from './load-plotly.js';
import { say } from './say.js';

export default ({ element, props, watch }) => {
  const COLOURS = { loss: '#64748b', scores: ['#4f46e5', '#0d9488'] };
  const draw = async () => {
    const plot = element.querySelector('.curves');
    plot.hidden = !props.value;
    if (!props.value) return;
    const data = JSON.parse(props.value);
    await plotly();
    if (!plot.offsetWidth) return;  // hidden, as in another tab: a plot has no size there
    const style = getComputedStyle(plot);
    const ink = style.getPropertyValue('--map-text').trim(), line = style.getPropertyValue('--map-line').trim();
    const phone = window.innerWidth < 640;
    const markers = data.epochs.length < 30 ? 'lines+markers' : 'lines';
    const traces = [{ x: data.epochs, y: data.loss, name: say('loss'), mode: markers, line: { color: COLOURS.loss, dash: 'dot' } }];
    Object.entries(data.scores).forEach(([dim, values], index) => traces.push({
      x: data.epochs, y: values, name: say('held-out mMP@5, {dim}-d', { dim }), mode: markers, yaxis: 'y2',
      line: { color: COLOURS.scores[index % COLOURS.scores.length], width: 3 },
    }));
    const axis = { gridcolor: line, zeroline: false, linecolor: line };
    await Plotly.react(plot, traces, {
      height: 300, margin: { l: 46, r: 52, t: phone ? 70 : 34, b: 40 }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
      font: { color: ink, size: 12 }, legend: { orientation: 'h', y: phone ? 1.36 : 1.14, x: 0 }, hovermode: 'x unified',
      hoverlabel: { bgcolor: document.body.classList.contains('dark') ? '#0f172a' : '#ffffff' },
      xaxis: { ...axis, title: { text: say('epoch') }, range: [0.5, data.total + 0.5], dtick: data.total <= 15 ? 1 : undefined, showgrid: false },
      yaxis: { ...axis, title: { text: say('loss') }, rangemode: 'tozero' },
      yaxis2: { ...axis, overlaying: 'y', side: 'right', showgrid: false, tickformat: '.3f' },
    }, { displayModeBar: false, responsive: true });
  };
  watch('value', draw);
  new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ['class'] });
  const fit = () => {
    const plot = element.querySelector('.curves');
    if (plot?.offsetWidth && !plot.layout) draw();
    else if (plot?.offsetWidth) Plotly.Plots.resize(plot);
  };
  new ResizeObserver(fit).observe(element);
  draw();
};
