/**
 * What the page does beyond HTML: a button copies a command. Without it, the page is the same without the button. It is
 * served as a file of its own, because the page allows no script within itself.
 */
export const SCRIPT = `'use strict';
for (const button of document.querySelectorAll('button[data-copy]')) {
  const source = document.getElementById(button.dataset.copy);
  const said = button.parentElement.querySelector('[role=status]');
  const say = (text) => {
    said.textContent = text;
    setTimeout(() => { said.textContent = ''; }, 4000);
  };
  // Browsers have no clipboard for pages that came by plain HTTP from another machine: there the text is selected.
  const select = () => {
    getSelection().selectAllChildren(source);
    return document.execCommand('copy');
  };
  button.hidden = false;
  button.addEventListener('click', async () => {
    try {
      if (navigator.clipboard === undefined) say(select() ? 'Copied' : 'Selected: copy it with your keyboard');
      else {
        await navigator.clipboard.writeText(source.textContent);
        say('Copied');
      }
    } catch {
      say(select() ? 'Copied' : 'Selected: copy it with your keyboard');
    }
  });
}
`;
