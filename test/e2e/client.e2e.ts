import type { AddressInfo, Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import Fastify from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import fastifyHub from '../../lib/index.js'
import { AHEAD, Cutter, MESSAGES, randomCuts, type Cuts } from '../helpers/numbered-chat.js'
import { Sockets } from '../helpers/sockets.js'
import { launchChromium } from './chromium.js'

/** Of the page that a function is evaluated in. */
declare const document: { title: string, querySelectorAll: (selector: string) => { length: number } }

/** What the page offers to the test: says so many numbered messages. Answers when all have been published. */
type Say = (user: string, count: number) => Promise<void>

/** A chat as an application would write it: a line for each message, in the order in which they come. */
const PAGE = `
  import { createClient } from './index.js'
  const client = createClient({ url: location.origin.replace('http', 'ws') + '/ws', backoff: { min: 200, max: 1000 } })
  const room = client.room('chat')
  const show = (element, text) => { document.querySelector(element).append(Object.assign(document.createElement('li'), { textContent: text })) }
  client.on('state', ({ is, code }) => { show('#states', code === undefined ? is : is + ' ' + code) })
  client.on('error', (error) => { show('#errors', String(error)) })
  room.on('gap', () => { show('#errors', 'gap') })
  let heard = 0
  let wake = () => {}
  room.on('message', (text) => {
    show('#messages', text)
    heard++
    wake()
  })
  client.open()
  await room.join()
  globalThis.say = async (user, count) => {
    const published = []
    for (let i = 0; i < count; i++) {
      while (heard < 2 * i - ${AHEAD}) await new Promise((resolve) => { wake = resolve })
      published.push(room.publish(user + ' ' + i))
    }
    await Promise.all(published)
  }
  document.title = 'ready'
`

async function start (t: Test, cuts: Cuts): Promise<{ address: string, cutter: Cutter }> {
  const { outputFiles: [script] } = await build({
    stdin: { contents: PAGE, resolveDir: fileURLToPath(new URL('../../lib/client/', import.meta.url)) },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false
  })
  const app = Fastify()
  const sockets = new Sockets()
  const cutter = new Cutter(cuts, sockets, () => app.hub.room('chat').size === 2)
  app.server.on('upgrade', (_, socket: Socket) => { sockets.add(socket) })
  await app.register(fastifyHub, {
    subprotocols: ['hub.v1.json'],
    authorize: { join: () => true, publish: cutter.onPublish },
    history: { size: MESSAGES },
    drain: { spread: 0, timeout: 5_000 }
  })
  app.get('/', async (_, reply) => await reply.type('text/html').send('<ol id="messages"></ol><ol id="states"></ol><ol id="errors"></ol><script type="module" src="/page.js"></script>'))
  app.get('/page.js', async (_, reply) => await reply.type('text/javascript').send(script?.text))
  t.teardown(async () => { await app.close() })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { address: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, cutter }
}

t.test(`two pages chat, and the server's sockets are cut ten times during ${MESSAGES} messages: each page has all of them, in order, once`, async (t) => {
  const { seed, cuts } = randomCuts()
  t.comment(`CUTS_SEED=${seed}, cut at ${JSON.stringify([...cuts])}`)
  const { address, cutter } = await start(t, cuts)
  const browser = await launchChromium(t)
  const users = ['ada', 'bob']
  const pages = await Promise.all(users.map(async () => {
    const page = await browser.newPage()
    page.on('pageerror', (error) => { t.fail(String(error)) })
    await page.goto(address)
    await page.waitForFunction(() => document.title === 'ready')
    return page
  }))
  const lines = async (page: Page, list: string): Promise<string[]> => await page.locator(`${list} li`).allTextContents()
  const each = MESSAGES / users.length
  await Promise.all(pages.map(async (page, i) => {
    await page.evaluate(async ([user, count]) => { await (globalThis as unknown as { say: Say }).say(user, count) }, [users[i] as string, each] as const)
  }))
  const [first = [], second = []] = await Promise.all(pages.map(async (page) => {
    await page.waitForFunction((count) => document.querySelectorAll('#messages li').length >= count, MESSAGES)
    return await lines(page, '#messages')
  }))

  t.strictSame(first, second, 'both have the same')
  for (const user of users) t.strictSame(first.filter((line) => line.startsWith(user)), Array.from({ length: each }, (_, i) => `${user} ${i}`), `all of ${user}, in order, once`)
  t.equal(first.length, MESSAGES)
  t.equal(cutter.asked, MESSAGES, 'the application was asked once for each')
  t.equal(cutter.done, cuts.size, 'cuts')
  for (const page of pages) {
    const states = await lines(page, '#states')
    t.equal(states.filter((state) => state === 'waiting 1006').length, cuts.size, states.join(', '))
    t.strictSame(await lines(page, '#errors'), [])
  }
})
