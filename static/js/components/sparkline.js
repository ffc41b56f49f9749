/** A small chart: one line through the latest values, from zero up. */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 30;

/** @returns {SVGSVGElement} for `drawSparkline`; the number beside it says the same to who cannot see it */
export function sparkline() {
  const chart = document.createElementNS(SVG, "svg");
  chart.setAttribute("class", "sparkline");
  chart.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  chart.setAttribute("preserveAspectRatio", "none");
  chart.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("vector-effect", "non-scaling-stroke");
  chart.append(line);
  return chart;
}

/**
 * @param {SVGSVGElement} chart
 * @param {number[]} values oldest first
 * @param {number} length how many there are when it is full: the line grows from the right
 */
export function drawSparkline(chart, values, length) {
  const highest = Math.max(...values, Number.MIN_VALUE);
  const start = length - values.length;
  const points = values.map((value, index) => {
    const x = ((start + index) / (length - 1)) * WIDTH;
    return `${x.toFixed(1)},${(HEIGHT - 1 - (value / highest) * (HEIGHT - 2)).toFixed(1)}`;
  });
  chart.firstElementChild.setAttribute("points", points.join(" "));
}
