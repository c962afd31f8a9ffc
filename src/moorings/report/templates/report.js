"use strict";
(() => {
  document.documentElement.classList.add("scripted");

  const openAll = document.getElementById("open-all");
  const setAll = (open) => document.querySelectorAll("details").forEach((d) => { d.open = open; });
  openAll.addEventListener("click", () => {
    const opening = openAll.textContent.startsWith("Open");
    setAll(opening);
    openAll.textContent = opening ? "Close all details" : "Open all details";
  });
  window.addEventListener("beforeprint", () => setAll(true));

  const svg = document.getElementById("map");
  const source = document.getElementById("map-data");
  if (!svg || !source) return;
  const { prompts, points } = JSON.parse(source.textContent);
  const tip = document.getElementById("map-tip");
  const here = document.getElementById("map-here");
  const armNames = [...document.querySelectorAll("#map-arms label span")].map((e) => e.textContent);
  const clusterNames = new Map();
  document.querySelectorAll("#map-clusters input").forEach((box) => {
    clusterNames.set(Number(box.dataset.cluster), box.parentElement.textContent.trim());
  });
  const full = { x: 0, y: 0, w: svg.viewBox.baseVal.width, h: svg.viewBox.baseVal.height };
  let view = { ...full };
  const hiddenArms = new Set();
  const hiddenClusters = new Set();
  const isShown = (p) => !hiddenArms.has(p[2]) && !hiddenClusters.has(p[3]);

  const draw = () => {
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
    svg.classList.toggle("zoomed", view.w < full.w);
    const pixel = view.w / (svg.clientWidth || full.w);
    svg.style.setProperty("--px", `${pixel}px`);
    here.setAttribute("r", here.hasAttribute("data-on") ? 7 * pixel : 0);
  };
  const keepInside = () => {
    view.x = Math.min(Math.max(view.x, full.x), full.w - view.w);
    view.y = Math.min(Math.max(view.y, full.y), full.h - view.h);
  };
  const zoom = (factor, cx = view.x + view.w / 2, cy = view.y + view.h / 2) => {
    const w = Math.min(full.w, Math.max(full.w / 40, view.w * factor));
    const ratio = w / view.w;
    view = { x: cx - (cx - view.x) * ratio, y: cy - (cy - view.y) * ratio, w, h: view.h * ratio };
    keepInside();
    draw();
  };
  const toMap = (event) => {
    const box = svg.getBoundingClientRect();
    return [
      view.x + ((event.clientX - box.left) / box.width) * view.w,
      view.y + ((event.clientY - box.top) / box.height) * view.h,
    ];
  };

  const line = (text, className) => {
    const p = document.createElement("p");
    p.className = className;
    p.textContent = text;
    return p;
  };
  const hide = () => {
    tip.hidden = true;
    here.removeAttribute("data-on");
    here.setAttribute("r", 0);
  };
  const show = (point) => {
    const [x, y, arm, cluster, prompt, text] = point;
    here.setAttribute("cx", x);
    here.setAttribute("cy", y);
    here.setAttribute("data-on", "");
    tip.replaceChildren(
      line(`${armNames[arm] || "arm"} · cluster ${clusterNames.get(cluster) || "–"}`, "label"),
      line(prompts[prompt], "quote"),
      line(text || "(empty)", ""),
    );
    tip.hidden = false;
    const left = ((x - view.x) / view.w) * svg.clientWidth;
    const top = ((y - view.y) / view.h) * svg.clientHeight;
    const roomRight = svg.clientWidth - left - tip.offsetWidth - 14;
    tip.style.left = `${roomRight > 0 ? left + 14 : Math.max(0, left - tip.offsetWidth - 14)}px`;
    tip.style.top = `${Math.min(top + 10, Math.max(0, svg.clientHeight - tip.offsetHeight))}px`;
    draw();
  };
  const nearest = (x, y) => {
    const reach = 14 * (view.w / svg.clientWidth);
    let best = null;
    let least = reach * reach;
    for (const point of points) {
      const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
      if (distance < least && isShown(point)) {
        best = point;
        least = distance;
      }
    }
    return best;
  };

  let held = null;
  svg.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, from: { ...view } };
    if (view.w < full.w) {
      svg.setPointerCapture(event.pointerId);
      svg.classList.add("held");
    }
    const point = nearest(...toMap(event));
    if (point) show(point); else hide();
  });
  svg.addEventListener("pointermove", (event) => {
    if (held && view.w < full.w) {
      view.x = held.from.x - ((event.clientX - held.x) / svg.clientWidth) * view.w;
      view.y = held.from.y - ((event.clientY - held.y) / svg.clientHeight) * view.h;
      keepInside();
      hide();
      draw();
      return;
    }
    const point = nearest(...toMap(event));
    if (point) show(point); else hide();
  });
  const release = () => { held = null; svg.classList.remove("held"); };
  ["pointerup", "pointercancel"].forEach((name) => svg.addEventListener(name, release));
  svg.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== svg) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, ...toMap(event));
  }, { passive: false });

  let at = -1;
  const order = points.map((_, i) => i).sort((a, b) => points[a][0] - points[b][0]);
  const step = (by) => {
    for (let n = 0; n < order.length; n += 1) {
      at = (at + by + order.length) % order.length;
      if (isShown(points[order[at]])) { show(points[order[at]]); return; }
    }
  };
  const keys = {
    ArrowRight: () => step(1), ArrowLeft: () => step(-1), "+": () => zoom(0.7), "=": () => zoom(0.7),
    "-": () => zoom(1 / 0.7), 0: () => { view = { ...full }; draw(); }, Escape: hide,
  };
  svg.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.getElementById("map-in").addEventListener("click", () => zoom(0.7));
  document.getElementById("map-out").addEventListener("click", () => zoom(1 / 0.7));
  document.getElementById("map-reset").addEventListener("click", keys[0]);

  const filter = (selector, key, hidden) => document.querySelectorAll(selector).forEach((box) => {
    box.addEventListener("change", () => {
      const number = Number(box.dataset[key]);
      if (box.checked) hidden.delete(number); else hidden.add(number);
      document.querySelectorAll("#map .pt").forEach((path) => {
        const out = hiddenArms.has(Number(path.dataset.arm)) || hiddenClusters.has(Number(path.dataset.cluster));
        path.toggleAttribute("hidden", out);
      });
      document.querySelectorAll("#map .badge").forEach((badge) => {
        badge.toggleAttribute("hidden", hiddenClusters.has(Number(badge.textContent) - 1));
      });
      hide();
    });
  });
  filter("#map-arms input", "arm", hiddenArms);
  filter("#map-clusters input", "cluster", hiddenClusters);
  window.addEventListener("resize", draw);
  draw();
})();
