// Improvements only: every page works without this module.

// Buttons that copy the value of a field.
for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const field = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      field.select();
      document.execCommand('copy');
    }
    const label = button.textContent;
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// A dialog that the page shows open becomes a modal one; closing it leads where its
// link to cancel does.
for (const dialog of document.querySelectorAll('dialog[open][data-modal]')) {
  dialog.close();
  dialog.showModal();
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault();
    dialog.querySelector('[data-cancel]')?.click();
  });
}

// Who leaves a dialog is back at the link that opened it.
const [clicked, opener] = ['cardea-clicked', 'cardea-opener'];
document.addEventListener('click', (event) => {
  const link = event.target.closest('a[href]');
  if (link && !link.closest('dialog')) {
    sessionStorage.setItem(clicked, link.getAttribute('href'));
  }
});
if (document.querySelector('dialog[open]')) {
  sessionStorage.setItem(opener, sessionStorage.getItem(clicked) ?? '');
} else if (sessionStorage.getItem(opener)) {
  const href = CSS.escape(sessionStorage.getItem(opener));
  sessionStorage.removeItem(opener);
  document.querySelector(`a[href="${href}"]`)?.focus();
}

// A form is sent once.
for (const form of document.querySelectorAll('form[method=post]')) {
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = 'yes';
    window.addEventListener('pageshow', () => delete form.dataset.sent, { once: true });
  });
}

// Parts of a page that change by themselves: `data-live="5"` has the element of the same id
// fetched anew every five seconds, while the page is seen and nobody types in it.
for (const part of document.querySelectorAll('[data-live][id]')) {
  const seconds = Math.max(2, Number(part.dataset.live) || 10);
  setInterval(async () => {
    if (document.hidden || part.contains(document.activeElement)) {
      return;
    }
    try {
      const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
      if (!answer.ok || answer.redirected) {
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const now = page.getElementById(part.id);
      if (now && now.innerHTML !== part.innerHTML) {
        part.replaceChildren(...now.childNodes);
      }
    } catch {
      // The next turn tries again.
    }
  }, seconds * 1000);
}
