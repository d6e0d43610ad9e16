// Looks at the console in a real browser: signs in by keyboard, takes a picture of each page in both
// schemes, has axe say what keeps somebody out, and counts what ran or was refused. It ends with an
// error where anything is wrong.
//
// usage: node look.mjs CHROMIUM ORIGIN FOLDER PAGES, where PAGES is a JSON list of [name, path].
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [executablePath, origin, folder, list] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const wrong = [];
const note = (name, what) => wrong.push(`${name}: ${what}`);

const browser = await chromium.launch({ executablePath });
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
let now = 'sign-in';
// Status codes that are meant are told as errors too.
const isMeant = (text) => text.includes('the server responded with a status of 404');
page.on('console', (message) => message.type() === 'error' && !isMeant(message.text()) && note(now, message.text()));
page.on('pageerror', (error) => note(now, error));
page.on('dialog', (dialog) => { note(now, `it says ${dialog.message()}`); dialog.dismiss(); });
// Whoever leaves the feed cuts it.
const isCut = (request) => request.url().includes('/console/feed') && now === 'sign-out';
page.on('requestfailed', (request) => isCut(request) || note(now, `${request.url()} failed`));
page.on('request', (request) => request.url().startsWith(origin) || note(now, `it asks ${request.url()}`));

async function look(name) {
  now = name;
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`), fullPage: true, caret: 'initial' });
    // Through the DevTools protocol: no page of the console would run it.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document));
    for (const { id, help, nodes } of violations) {
      note(`${name} (${colorScheme})`, `${id}: ${help}: ${nodes.map((node) => node.html).slice(0, 3).join(' ')}`);
    }
  }
  const found = await page.evaluate(() => ({
    scripts: document.scripts.length,
    handlers: document.querySelectorAll('[onerror], [onload], [onclick], [style]').length,
    images: document.images.length,
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  }));
  if (found.scripts + found.handlers + found.images > 0) note(name, JSON.stringify(found));
  if (found.wide) note(name, 'the page is wider than the window');
}

// Without a cookie every page leads to the form; with the keyboard alone one comes in.
await page.goto(`${origin}/console/`);
await look('sign-in');
await page.keyboard.press('Tab');
const first = await page.evaluate(() => document.activeElement.textContent);
if (first !== 'To the content') note(now, `the first stop of the keyboard is ${first}`);
await page.getByLabel('Role').selectOption('OPERATOR');
await page.getByLabel('Who, such as').fill('olga');
await page.keyboard.press('Enter');
await page.waitForURL(`${origin}/console/`);
const cookies = await context.cookies();
if (cookies.length !== 1 || !cookies[0].httpOnly || cookies[0].sameSite !== 'Strict') note(now, JSON.stringify(cookies));
const seen = await page.evaluate(() => document.cookie);
if (seen !== '') note(now, `a script would see ${seen}`);

let looked = 1;
for (const [name, path] of JSON.parse(list)) {
  now = name;
  await page.goto(origin + path);
  await look(name);
  looked += 1;
}

// On a telephone nothing is cut off.
now = 'telephone';
await page.setViewportSize({ width: 390, height: 844 });
await page.goto(`${origin}/console/order?store=shop&id=A-3`);
await look('order-telephone');
looked += 1;
await page.setViewportSize({ width: 1280, height: 900 });

// The feed goes on while it is looked at: it is shown without having ended.
now = 'feed';
await page.goto(`${origin}/console/feed?store=shop`, { waitUntil: 'commit' });
await page.getByRole('columnheader', { name: 'What' }).waitFor();
console.log('watching');
await page.getByRole('link', { name: 'LIVE-1' }).waitFor();
await look('feed');
looked += 1;

now = 'sign-out';
await page.goto(`${origin}/console/`);
await page.getByRole('button', { name: 'Sign out' }).click();
await page.waitForURL(`${origin}/console/sign-in`);
if ((await context.cookies()).length !== 0) note(now, 'the cookie is still there');
await page.goto(`${origin}/console/orders?store=shop`);
if (!page.url().includes('/console/sign-in?next=')) note(now, `it shows ${page.url()}`);
await browser.close();

for (const what of wrong) console.log(what);
console.log(`looked at ${looked} pages in 2 schemes: ${wrong.length || 'nothing'} ${wrong.length > 1 ? 'are' : 'is'} wrong`);
process.exitCode = wrong.length === 0 ? 0 : 1;
