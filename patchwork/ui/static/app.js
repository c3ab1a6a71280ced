/* Presenter mode: its keys, its bar, its clock. It knows tabs and run buttons only by their place in the page. */

// Read before the page is built: the first tab announces itself while mounting, and that rewrites the address.
window.PATCHWORK.chapter = new URLSearchParams(location.search).get("chapter");

// A reader who is quicker than the page's start has chosen already: the address no longer decides.
document.addEventListener("click", (event) => {
  if (event.target.closest?.("#pw-chapters [role=tab]")) window.PATCHWORK.chapter = null;
}, {capture: true});

(() => {
  const PRESENTING = "pw-presenting";
  const isPresenting = () => document.documentElement.classList.contains(PRESENTING);
  const isVisible = (element) => element.offsetParent !== null;

  const tabs = () => [...document.querySelectorAll("#pw-chapters > .tab-wrapper [role=tab]")];
  const currentTab = () => tabs().findIndex((tab) => tab.getAttribute("aria-selected") === "true");

  const openChapter = (number) => {
    const tab = tabs()[number];
    if (!tab) return;
    tab.click();
    tab.focus({preventScroll: true});
    window.scrollTo(0, 0);
  };

  const showWhere = () => {
    document.querySelectorAll("#pw-presenter [data-chapter]").forEach((title) => {
      title.hidden = Number(title.dataset.chapter) !== currentTab();
    });
  };

  const setPresenting = (on) => {
    document.documentElement.classList.toggle(PRESENTING, on);
    window.dispatchEvent(new Event("resize"));
    showWhere();
  };

  const runVisibleDemo = () => {
    const buttons = [...document.querySelectorAll("button.pw-run, .pw-run button")].filter(isVisible);
    const onScreen = buttons.find((button) => {
      const box = button.getBoundingClientRect();
      return box.bottom > 0 && box.top < window.innerHeight;
    });
    const button = onScreen || buttons[0];
    if (!button) return;
    button.scrollIntoView({block: "nearest"});
    button.click();
  };

  // Keys that a field or a simulation uses are theirs; of those on a slider or a choice only the arrows.
  const TYPED = "input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable=true], [data-keys]";
  const STEPPED = "[type=radio], [type=range], [role=slider]";
  const isTaken = (event) =>
    event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey ||
    event.target.closest?.(event.key.startsWith("Arrow") ? `${TYPED}, ${STEPPED}` : TYPED);

  const ACTIONS = {
    ArrowRight: () => openChapter(Math.min(currentTab() + 1, tabs().length - 1)),
    ArrowLeft: () => openChapter(Math.max(currentTab() - 1, 0)),
    Escape: () => setPresenting(false),
    r: runVisibleDemo,
  };

  // On the tab bar itself the arrows work for everyone, as they do on tabs elsewhere: from the tab that has the focus.
  const moveAlongTabs = (event) => {
    const focused = tabs().indexOf(event.target.closest?.("#pw-chapters [role=tab]"));
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (focused < 0 || !step) return null;
    return () => openChapter(Math.min(Math.max(focused + step, 0), tabs().length - 1));
  };

  const chooseAction = (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "p") return () => setPresenting(!isPresenting());
    if (!isPresenting()) return moveAlongTabs(event);
    return /^[0-9]$/.test(key) ? () => openChapter(Number(key)) : ACTIONS[key];
  };

  document.addEventListener("keydown", (event) => {
    if (isTaken(event)) return;
    const action = chooseAction(event);
    if (!action) return;
    event.preventDefault();
    action();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest?.(".pw-present-button")) setPresenting(true);
  });

  // However a chapter was opened: its tab comes into view on a phone, its title into the bar.
  const showCurrent = () => {
    const tab = tabs()[currentTab()];
    if (!tab) return;
    const bar = tab.parentElement;
    bar.scrollTo({left: tab.offsetLeft - (bar.clientWidth - tab.offsetWidth) / 2});
    showWhere();
  };
  new MutationObserver(showCurrent).observe(document, {
    subtree: true, childList: false, attributes: true, attributeFilter: ["aria-selected"],
  });

  setInterval(() => {
    const clock = document.querySelector(".pw-clock");
    if (clock && isPresenting()) {
      clock.textContent = new Date().toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
    }
  }, 1000);

  if (window.PATCHWORK?.present) setPresenting(true);
})();
