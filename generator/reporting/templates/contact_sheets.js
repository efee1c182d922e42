(() => {
  const sheets = document.getElementById("sheets"), count = document.getElementById("count");
  const by = document.getElementById("by"), selects = [...document.querySelectorAll("select[data-n]")];
  const cards = [...sheets.querySelectorAll(".card")].map(e => [e, JSON.parse(e.dataset.levels)]);
  const words = document.getElementById("words");
  for (const s of selects) {
    const levels = [...new Set(cards.map(([, l]) => l[s.dataset.n]))].sort();
    for (const level of levels) s.add(new Option(level || "(empty)", level));
  }
  function show() {
    const text = words.value.trim().toLowerCase();
    const want = selects.filter(s => s.selectedIndex > 0).map(s => [s.dataset.n, s.value]);
    const left = cards.filter(([e, l]) => want.every(([n, v]) => l[n] === v) &&
      (!text || e.querySelector(".caption").textContent.toLowerCase().includes(text)));
    const groups = new Map();
    for (const [e, l] of left) {
      const level = l[by.value];
      if (!groups.has(level)) groups.set(level, []);
      groups.get(level).push(e);
    }
    sheets.replaceChildren(...[...groups].flatMap(([level, members]) => {
      const title = document.createElement("h3"), sheet = document.createElement("div");
      title.textContent = `${by.selectedOptions[0].text} ${level || "(empty)"}: ${members.length}`;
      sheet.className = "sheet";
      sheet.append(...members);
      return [title, sheet];
    }));
    count.textContent = `${left.length} of ${cards.length} pictures shown`;
  }
  for (const s of [by, ...selects]) s.addEventListener("change", show);
  words.addEventListener("input", show);
  document.getElementById("filters").hidden = false;
  count.textContent = `${cards.length} of ${cards.length} pictures shown`;
})();
