import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { Example } from '../helpers/program.js'
import { launchChromium } from './chromium.js'

interface Tab { page: Page, sockets: string[] }

async function setUp (t: Test, ttl: number): Promise<{ address: string, tab: () => Promise<Tab> }> {
  const address = await new Example(t, 'single-login.js', { PORT: '0', TOKEN_TTL: String(ttl) }).address()
  const browser = await launchChromium(t)
  const tab = async (): Promise<Tab> => {
    const page = await browser.newPage()
    const sockets: string[] = []
    page.on('websocket', (socket) => { sockets.push(socket.url()) })
    page.on('pageerror', (error) => { t.fail(String(error)) })
    await page.goto(address)
    return { page, sockets }
  }
  return { address, tab }
}

async function login ({ page }: Tab, user: string): Promise<void> {
  await page.getByLabel('User').fill(user)
  await page.getByRole('button', { name: 'Log in here' }).click()
  await status(page, `Logged in as ${user}`)
}

async function status (page: Page, text: string): Promise<void> {
  await page.getByRole('status').filter({ hasText: text }).waitFor()
}

t.test('the older tab says that it was replaced, and does not come back', async (t) => {
  const { address, tab } = await setUp(t, 60_000)
  const [older, newer, other] = [await tab(), await tab(), await tab()]
  await login(older, 'ada')
  await login(other, 'bob')
  await login(newer, 'ada')
  await status(older.page, 'Logged in elsewhere')
  // Longer than a tab waits before it connects again.
  await older.page.waitForTimeout(3_000)
  t.same([older.sockets.length, newer.sockets.length, other.sockets.length], [1, 1, 1])
  await status(newer.page, 'Logged in as ada')
  await status(other.page, 'Logged in as bob')

  await login(older, 'ada')
  await status(newer.page, 'Logged in elsewhere')
  const response = await fetch(`${address}/users/ada/kick`, { method: 'POST' })
  t.same(await response.json(), { kicked: 1 })
  await status(older.page, 'Logged out: logged out by an administrator')
})

t.test('a tab renews its token by messages on the same socket', async (t) => {
  const { tab } = await setUp(t, 3_000)
  const one = await tab()
  await login(one, 'ada')
  // More than twice the life of a token.
  await one.page.waitForTimeout(7_000)
  await status(one.page, 'Logged in as ada')
  t.equal(one.sockets.length, 1)
})

t.test('a double click is one login', async (t) => {
  const { tab } = await setUp(t, 3_000)
  const { page } = await tab()
  await page.getByLabel('User').fill('ada')
  await page.getByRole('button', { name: 'Log in here' }).dblclick()
  // More than the life of a token.
  await page.waitForTimeout(4_000)
  t.equal(await page.getByRole('status').textContent(), 'Logged in as ada')
})
