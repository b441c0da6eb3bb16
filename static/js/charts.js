/* Draws each chart from the table behind it, so that the figures exist once and are there without a script. */
(() => {
  "use strict";

  /* Custom properties keep light-dark() unresolved; a probe element resolves them. */
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };

  const number = (text) => (text === "" ? null : Number(text));

  const read = (table) => {
    const rows = [...table.tBodies[0].rows];
    const names = [...table.tHead.rows[0].cells].slice(1).filter((cell) => "series" in cell.dataset);
    return {
      labels: rows.map((row) => row.cells[0].textContent.trim()),
      series: names.map((cell) => ({
        name: cell.textContent.trim(),
        tone: `--series-${cell.dataset.series}`,
        dashed: "dashed" in cell.dataset,
        values: rows.map((row) => number(row.cells[cell.cellIndex].dataset.value)),
        texts: rows.map((row) => row.cells[cell.cellIndex].textContent.trim()),
      })),
      totals: rows.map((row) => row.querySelector("[data-total]")?.textContent.trim() ?? ""),
    };
  };

  const counts = (value) => value.toLocaleString("en-US", { notation: "compact", maximumFractionDigits: 1 });

  /* The marks of an axis all have the digits that its steps need: $0.50, $1.00, $1.50. */
  const dollars = (value, place, marks) => {
    if (value === 0) return "$0";
    const step = Math.abs(marks.length > 1 ? marks[1].value - marks[0].value : value);
    const digits = Number.isInteger(step) ? 0 : Math.min(12, Math.max(2, 1 - Math.floor(Math.log10(step))));
    const least = digits <= 2 ? digits : 0;
    return `${value < 0 ? "\u2212" : ""}$${Math.abs(value).toLocaleString("en-US", { minimumFractionDigits: least, maximumFractionDigits: digits })}`;
  };

  const options = (data, { isLine, unit }) => ({
    animation: false,
    maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false },
    font: { family: getComputedStyle(document.body).fontFamily },
    scales: {
      x: {
        stacked: !isLine,
        border: { color: colour("--line") },
        grid: { display: false },
        ticks: { color: colour("--muted"), maxRotation: 0, autoSkipPadding: 16, font: { size: 12 } },
      },
      y: {
        stacked: !isLine,
        beginAtZero: true,
        suggestedMax: 0,
        border: { display: false },
        grid: { color: colour("--line") },
        ticks: {
          color: colour("--muted"),
          maxTicksLimit: 5,
          precision: unit === "money" ? undefined : 0,
          callback: unit === "money" ? dollars : counts,
          font: { size: 12 },
        },
      },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        backgroundColor: colour("--raised"),
        borderColor: colour("--line"),
        borderWidth: 1,
        titleColor: colour("--ink"),
        bodyColor: colour("--ink-soft"),
        footerColor: colour("--ink"),
        padding: 12,
        boxPadding: 6,
        usePointStyle: true,
        filter: (item) => item.raw !== null && (isLine || item.raw !== 0),
        itemSort: (a, b) => b.raw - a.raw,
        callbacks: {
          label: (item) => ` ${item.dataset.label}  ${data.series[item.datasetIndex].texts[item.dataIndex]}`,
          footer: ([item]) => (item && data.totals[item.dataIndex] ? `\u2211  ${data.totals[item.dataIndex]}` : ""),
        },
      },
    },
  });

  /* A lone point has no line: it is drawn as a dot. */
  const line = (each, tone) => ({
    borderColor: tone,
    backgroundColor: `color-mix(in srgb, ${tone} 12%, transparent)`,
    borderWidth: 2,
    borderDash: each.dashed ? [5, 4] : [],
    fill: !each.dashed,
    stepped: false,
    tension: 0,
    pointRadius: each.values.filter((value) => value !== null).length === 1 ? 4 : 0,
    pointHoverRadius: 5,
    pointBackgroundColor: tone,
    pointHitRadius: 12,
  });

  const column = (tone, edge) => ({
    backgroundColor: tone,
    borderColor: edge,
    borderWidth: { top: 1 },
    borderRadius: 2,
    maxBarThickness: 28,
    categoryPercentage: 0.86,
    barPercentage: 0.92,
  });

  const draw = (figure) => {
    const data = read(figure.querySelector("table"));
    const canvas = figure.querySelector("canvas");
    const isLine = figure.dataset.chart === "line";
    Chart.getChart(canvas)?.destroy();
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    const edge = colour("--surface");
    return new Chart(canvas, {
      type: figure.dataset.chart,
      data: {
        labels: data.labels,
        datasets: data.series.map((each) => ({
          label: each.name,
          data: each.values,
          ...(isLine ? line(each, colour(each.tone)) : column(colour(each.tone), edge)),
        })),
      },
      options: options(data, { isLine, unit: figure.dataset.unit }),
    });
  };

  /* Arrow keys walk through the columns, as the pointer does. */
  const walk = (figure, event) => {
    const chart = Chart.getChart(figure.querySelector("canvas"));
    const count = chart.data.labels.length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -count, End: count };
    if (!(event.key in steps) || !count) return;
    event.preventDefault();
    const now = Number(figure.dataset.at ?? (event.key === "ArrowLeft" ? count : -1));
    const at = Math.min(Math.max(now + steps[event.key], 0), count - 1);
    figure.dataset.at = at;
    const active = chart.data.datasets
      .map((set, datasetIndex) => ({ datasetIndex, index: at, value: set.data[at] }))
      .filter(({ value }) => value !== null);
    chart.setActiveElements(active);
    chart.tooltip.setActiveElements(active, { x: chart.scales.x.getPixelForValue(at), y: chart.chartArea.top });
    chart.update();
    const region = document.getElementById("spoken");
    const data = read(figure.querySelector("table"));
    const parts = data.series.filter((each) => each.values[at] !== null).map((each) => `${each.name} ${each.texts[at]}`);
    if (region) region.textContent = `${data.labels[at]}: ${data.totals[at] || parts.join(", ")}`;
  };

  const prepare = (figure) => {
    const holder = figure.querySelector(".chart-canvas");
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", figure.dataset.label);
    holder.append(canvas);
    holder.hidden = false;
    figure.querySelector("details").open = false;
    canvas.addEventListener("keydown", (event) => walk(figure, event));
    draw(figure);
  };

  const figures = [...document.querySelectorAll("figure[data-chart]")];
  const redraw = () => figures.forEach(draw);
  document.fonts.ready.then(() => {
    figures.forEach(prepare);
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  });
})();
