import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hashSync } from 'bcryptjs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { parseHtpasswd } from '../../../src/server/settings/htpasswd.ts';
import { describeWithParts, partPath } from '../../support/real-parts.ts';
import { eventually, type RunningRegistry, startRegistry } from '../running-registry.ts';
import { chunksOf, pushSample, setTags, withLogin } from './sample-images.ts';

const LOGIN = { username: 'ana', password: 'right' };
const AUTHORIZATION = `Basic ${Buffer.from('ana:right').toString('base64')}`;
const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
/** A name that would be noticed if a page took it for markup. */
const EVIL = '<script>document.title = "broken"</script>';

let browser: Browser;

describeWithParts('the page in a browser', ['chromium'], () => {
  beforeAll(async () => {
    // As root, in CI, Chromium's own sandbox does not start.
    browser = await chromium.launch({ executablePath: partPath('chromium'), args: ['--no-sandbox'] });
  });
  afterAll(async () => browser.close());

  it.each([
    ['a phone', 360, 740],
    ['a desk', 1280, 900],
  ])(
    'is used with the keyboard alone and a login, as wide as on %s, without a fault for assistive tools',
    async (...[, width, height]) => {
      const registry = await registryWithImages();
      const { page, context, seen } = await openPage(registry, { width, height });
      const address = `http://127.0.0.1:${registry.port}`;
      expect((await page.goto(`${address}/`))?.status()).toBe(200);
      await expectGoodPage(page, 'Repositories');

      // The first stop leads past the header.
      await page.keyboard.press('Tab');
      expect(await focused(page)).toBe('Skip to content');
      expect(await evaluate(page, 'getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
      await page.keyboard.press('Enter');
      expect(await evaluate(page, 'document.activeElement.id')).toBe('main');

      await tabTo(page, 'linux/debian');
      await follow(page, '/repository/linux/debian');
      await expectGoodPage(page, 'linux/debian');
      // A list longer than a page: the next part of it, and then the part from a tag on.
      await tabTo(page, 'Next page');
      await follow(page, '/repository/linux/debian?after=build-59');
      await tabTo(page, 'from');
      await page.keyboard.type('v12');
      await follow(page, '/repository/linux/debian?from=v12');
      expect(await page.locator('tbody tr').allInnerTexts()).toMatchObject([expect.stringMatching(/^v12\t/)]);
      await tabTo(page, 'v12');
      await follow(page, '/image/linux/debian:v12');
      await expectGoodPage(page, 'linux/debian:v12');

      await tabTo(page, 'Copy');
      await page.keyboard.press('Enter');
      await eventually('it says so', async () => (await page.locator('[role=status]').innerText()) === 'Copied');
      expect(await evaluate(page, 'navigator.clipboard.readText()')).toBe(
        `tartlet pull 127.0.0.1:${registry.port}/linux/debian:v12`,
      );
      const disk = page.getByRole('img', {
        name: /^Disk of 10\.7 GB: 6\.4 GB in parts with data, 3\.2 GB of it in other/,
      });
      expect(await disk.locator('rect.own').count()).toBe(6);
      expect(await disk.locator('rect.shared').count()).toBe(6);
      expect((await disk.boundingBox())?.height).toBeGreaterThan(100);

      await tabTo(page, 'Labels 1');
      await page.keyboard.press('Enter');
      expect(await page.locator('details[open] dd').innerText()).toBe(EVIL);
      expect(await page.title()).toBe(`linux/debian:v12 – 127.0.0.1:${registry.port}`);
      await expectGoodPage(page, 'linux/debian:v12');
      await tabTo(page, 'macos/sequoia:latest');
      await follow(page, '/image/macos/sequoia:latest');

      expect((await page.goto(`${address}/repository/none`))?.status()).toBe(404);
      await expectGoodPage(page, 'Not found');
      await context.close();
      expect(seen.errors.filter((text) => !text.includes('status of 404'))).toEqual([]);
      expect([...seen.hosts]).toEqual([`127.0.0.1:${registry.port}`]);
      expect([...seen.paths].filter((path) => path.startsWith('/page/')).sort()).toEqual([
        '/page/icon.svg',
        '/page/script.js',
        '/page/style.css',
      ]);
    },
    // Some 400 rules are looked at eight times, beside other tests.
    90_000,
  );

  it('asks a browser for a login', async () => {
    const registry = await registryWithImages();
    const context = await browser.newContext();
    onTestFinished(async () => context.close());
    const page = await context.newPage();
    // Where a person would be asked for a name and a password, a browser without a window gives up.
    const opening = page.goto(`http://127.0.0.1:${registry.port}/`);
    await expect(opening).rejects.toThrow('net::ERR_INVALID_AUTH_CREDENTIALS');
  });
});

interface Seen {
  readonly errors: string[];
  readonly hosts: Set<string>;
  readonly paths: Set<string>;
}

async function openPage(
  registry: RunningRegistry,
  viewport: { readonly width: number; readonly height: number },
): Promise<{ readonly page: Page; readonly context: BrowserContext; readonly seen: Seen }> {
  const context = await browser.newContext({ viewport, httpCredentials: LOGIN });
  onTestFinished(async () => context.close());
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], {
    origin: `http://127.0.0.1:${registry.port}`,
  });
  const page = await context.newPage();
  const seen: Seen = { errors: [], hosts: new Set(), paths: new Set() };
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  // What the page's own rules have stopped is told here as well.
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') seen.errors.push(message.text());
  });
  context.on('request', (request) => {
    const url = new URL(request.url());
    seen.hosts.add(url.host);
    seen.paths.add(url.pathname);
  });
  return { page, context, seen };
}

/** As it must be at any width, in the light and in the dark. */
async function expectGoodPage(page: Page, heading: string): Promise<void> {
  expect(await page.locator('h1').allInnerTexts()).toEqual([heading]);
  for (const landmark of ['banner', 'main', 'contentinfo'] as const) {
    expect(await page.getByRole(landmark).count()).toBe(1);
  }
  expect(await evaluate(page, 'document.documentElement.scrollWidth <= innerWidth')).toBe(true);
  await page.evaluate(AXE);
  const backgrounds = new Set<unknown>();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    backgrounds.add(await evaluate(page, 'getComputedStyle(document.body).backgroundColor'));
    const { violations } = (await evaluate(page, 'axe.run()')) as {
      violations: readonly { id: string; nodes: object[] }[];
    };
    expect(violations.map(({ id, nodes }) => [id, nodes])).toEqual([]);
  }
  expect(backgrounds.size).toBe(2);
}

/** Goes on with the key until something is reached that has a name: its text, or its id. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let presses = 0; presses < 200; presses += 1) {
    await page.keyboard.press('Tab');
    if ((await focused(page)) === name) return;
  }
  throw new Error(`${name} cannot be reached with the keyboard`);
}

async function focused(page: Page): Promise<unknown> {
  return evaluate(page, 'document.activeElement.innerText?.trim() || document.activeElement.id');
}

/** Presses the key that follows a link, and sees where it leads. */
async function follow(page: Page, to: string): Promise<void> {
  await page.keyboard.press('Enter');
  await page.waitForURL(`**${to}`);
}

async function evaluate(page: Page, script: string): Promise<unknown> {
  return page.evaluate(script);
}

async function registryWithImages(): Promise<RunningRegistry> {
  const registry = await startRegistry({
    page: { pullCommand: (image) => `tartlet pull ${image}` },
    auth: { kind: 'basic', htpasswd: parseHtpasswd(`ana:${hashSync('right', 4)}\n`) },
  });
  const client = withLogin(registry, AUTHORIZATION);
  const base = ['a', 'b', 'c', 'd', '0', '0', 'e', 'f', '0', '0'];
  const own = ['g', 'h', 'i', 'j', '0', 'k', '0', '0', '0', 'l'];
  await pushSample(client, 'macos/sequoia', 'latest', {
    chunks: chunksOf([...base, 'm', '0']),
    config: { os: 'darwin' },
  });
  await pushSample(client, 'linux/debian', 'v12', { chunks: chunksOf([...base, ...own]), labels: { evil: EVIL } });
  await setTags(
    client,
    'linux/debian:v12',
    Array.from({ length: 60 }, (_, at) => `build-${10 + at}`),
  );
  return registry;
}
