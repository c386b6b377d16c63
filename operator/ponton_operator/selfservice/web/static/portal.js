// Keeps the page of a link up to date: the server says when there is something else to show, the page fetches it.
// Without this script the page asks again every five seconds.
"use strict";
(() => {
  const live = document.getElementById("live");
  if (!live) return;

  const dress = () => {
    for (const time of live.querySelectorAll("time")) {
      time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang);
    }
    for (const seconds of live.querySelectorAll(".seconds")) {
      seconds.dataset.end = String(Date.now() + 1000 * Number(seconds.dataset.left));
    }
  };

  const count = () => {
    for (const seconds of live.querySelectorAll(".seconds")) {
      seconds.textContent = String(Math.max(0, Math.round((Number(seconds.dataset.end) - Date.now()) / 1000)));
    }
  };

  const renew = async (version) => {
    if (live.firstElementChild && live.firstElementChild.dataset.version === version) return;
    const answer = await fetch(live.dataset.part, { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 401) {
      location.reload();
    } else if (answer.ok) {
      const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
      live.innerHTML = await answer.text();
      dress();
      if (focused) (document.getElementById(focused) || document.getElementById("main")).focus();
    }
  };

  dress();
  setInterval(count, 500);
  const told = new EventSource(live.dataset.events);
  told.addEventListener("changed", (event) => { renew(event.data).catch(() => {}); });
  addEventListener("pagehide", () => told.close());
})();
