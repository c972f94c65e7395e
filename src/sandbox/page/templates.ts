import { createHash } from 'node:crypto';
import { type Creation, isUndecided } from '../creation/creation.ts';
import type { FieldPair } from '../creation/result-fields.ts';

const htmlEntities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const submitScript = 'document.forms[0].submit();';
const style = `
:root{color-scheme:light dark;--line:#8884}
body{font:16px/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center}
main{width:min(26rem,calc(100vw - 3rem));padding:1.5rem;border:1px solid var(--line);border-radius:.75rem}
h1{font-size:1.1rem;margin:0 0 1rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0 0 1.5rem}
dt{opacity:.7}dd{margin:0;text-align:right;overflow-wrap:anywhere}
.amount{font-size:1.5rem;font-weight:600}
button{font:inherit;width:100%;padding:.6rem;margin-top:.5rem;border:1px solid var(--line);border-radius:.5rem;background:none;cursor:pointer}
button[value=approve]{background:#0a6847;border-color:#0a6847;color:#fff}
small{display:block;margin-top:1rem;opacity:.7}
`;

/** Headers of every page. No cache, no frame, and no script or style except the page's own. */
export const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'content-security-policy':
    `default-src 'none'; script-src '${sourceHash(submitScript)}'; ` +
    `style-src '${sourceHash(style)}'; base-uri 'none'; frame-ancestors 'none'`,
} as const;

/** The page on which the customer approves, declines or leaves. */
export function authorisationPage(creation: Creation): string {
  if (!isUndecided(creation)) {
    return messagePage('Already decided', 'This authorisation has been completed.');
  }
  const rows: readonly FieldPair[] = [
    ['Method', creation.methods],
    ['Description', creation.description],
    ['Reference', creation.merchantReferenceId],
    ['Order', creation.orderReferenceId],
  ];
  const details = rows
    .filter(([, value]) => value !== '')
    .map(([term, value]) => `<dt>${term}</dt><dd>${escapeHtml(value)}</dd>`);
  return page(
    'Authorise a payment token',
    `<dl><dt>Amount</dt><dd class="amount">${escapeHtml(`${creation.amount} ${creation.currency}`)}</dd>
${details.join('\n')}</dl>
<form method="post" action="decide">
<input type="hidden" name="opRefId" value="${escapeHtml(creation.orderReferenceId)}">
<button name="decision" value="approve">Approve</button>
<button name="decision" value="decline">Decline</button>
<button name="decision" value="abandon">Leave</button>
</form>
<small>Gateway sandbox: no money moves.</small>`,
  );
}

/** A form that sends the signed result to the merchant. Without scripts, a button submits it. */
export function redirectPage(redirectUrl: string, fields: readonly FieldPair[]): string {
  const inputs = fields.map(
    ([name, value]) =>
      `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  );
  return page(
    'Back to the merchant',
    `<form method="post" action="${escapeHtml(redirectUrl)}">
${inputs.join('\n')}
<button>Continue</button>
</form>
<script>${submitScript}</script>`,
  );
}

/** A page with a message and nothing to do. */
export function messagePage(title: string, text: string): string {
  return page(title, `<p>${escapeHtml(text)}</p>`);
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body><main><h1>${escapeHtml(title)}</h1>
${body}
</main></body>
</html>
`;
}

/** Escapes text for use between tags and in quoted attributes. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => htmlEntities[character] ?? character);
}

/** The hash by which the content security policy allows an inline script or style. */
function sourceHash(source: string): string {
  return `sha256-${createHash('sha256').update(source).digest('base64')}`;
}
