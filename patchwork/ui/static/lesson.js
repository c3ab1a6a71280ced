/* Moving between chapters, and which of them this visit has read. It knows tabs only by their order. */

(() => {
  const KEY = "pw-read";
  const tabs = () => [...document.querySelectorAll("#pw-chapters > .tab-wrapper [role=tab]")];
  const {readKept, writeKept} = globalThis.Patchwork;

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-goto]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const tab = tabs()[Number(link.dataset.goto)];
    if (!tab) return;
    event.preventDefault();
    tab.click();
    tab.focus({preventScroll: true});
    document.querySelector("#pw-chapters")?.scrollIntoView({block: "start"});
  });

  const show = () => {
    const read = readKept(KEY);
    document.querySelectorAll(".pw-progress-dots [data-chapter]").forEach((dot) => {
      const done = Boolean(read[dot.dataset.chapter]);
      dot.classList.toggle("pw-done", done);
      const words = `${dot.dataset.title}${done ? " (read)" : ""}`;
      dot.title = words;
      dot.setAttribute("aria-label", words);
    });
  };
  document.addEventListener("pw-progress", show);

  /* A chapter counts as read once its end has been on the screen. */
  globalThis.Patchwork.mountLessonEnd = (element) => {
    const end = element.querySelector("[data-chapter-end]");
    show();
    new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      writeKept(KEY, {...readKept(KEY), [end.dataset.chapterEnd]: true});
      show();
    }).observe(end);
  };
})();
