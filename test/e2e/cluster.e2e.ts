import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import type { Browser } from 'playwright-core'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { Example } from '../helpers/program.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { launchChromium } from './chromium.js'
import { Person } from './person.js'

const RELOADED = 'History was reloaded: some of what was said while you were away may be missing.'

/** The chat on three nodes behind nginx, as its reader starts it. */
class Cluster extends Example {
  /** @param dir where it has its files */
  static async start (t: Test, dir: string): Promise<{ cluster: Cluster, port: number, nodes: Array<{ address: string, pid: number }> }> {
    const cluster = new Cluster(t, 'cluster/start.js', { PORT: '0', LOG_LEVEL: 'info', TMPDIR: dir, ...programs() })
    // All that it has started ends with it, where it is asked to.
    t.teardown(async () => { await cluster.stop() })
    const [, port = ''] = /:(\d+)$/.exec(await cluster.printed(/^Chat on http:\/\/127\.0\.0\.1:\d+/m)) ?? []
    const nodes = await Promise.all([1, 2, 3].map(async (number) => {
      const [, address = '', pid] = /on (.*), pid (\d+)/.exec(await cluster.printed(new RegExp(`^node ${number} on .*, pid \\d+$`, 'm'))) ?? []
      return { address, pid: Number(pid) }
    }))
    return { cluster, port: Number(port), nodes }
  }

  /** Waits for somebody to be on a node other than this. @returns where they are, and from which address they came */
  async whereIs (user: string, not = 0): Promise<{ pid: number, ip: string }> {
    const line = await this.printed(new RegExp(`\\{.*"pid":(?!${not},)\\d+,.*"user":"${user}",.*"msg":"is here"\\}$`, 'm'))
    return JSON.parse(line) as { pid: number, ip: string }
  }
}

/** Those that the environment names in place of what is in the PATH. */
function programs (): Record<string, string> {
  const { REDIS_SERVER = '', NGINX = '' } = process.env
  return { REDIS_SERVER, NGINX }
}

/** A client without a browser. */
interface Comer { socket: WebSocket, pid: number, ip: string }

/** Somebody who comes from an address of their own. */
async function enter (t: Test, browser: Browser, port: number, name: string, from: string, options?: { ownClock: boolean }): Promise<Person> {
  const network = await TcpProxy.start(t, () => port, from)
  const person = await Person.open(browser, `http://127.0.0.1:${network.port}`, options)
  // A request that is under way counts as a connection to its node, and the socket would go to another one.
  await person.page.waitForLoadState('networkidle')
  await person.giveName(name)
  await person.online()
  return person
}

/** A temporary folder. */
function folder (t: Test): string {
  const dir = mkdtempSync(`${tmpdir()}/fastify-hub-e2e-`)
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }) })
  return dir
}

t.test('three nodes behind nginx are one chat, and who loses a node comes back on another one', async (t) => {
  const dir = folder(t)
  const { cluster, port, nodes } = await Cluster.start(t, dir)
  const pids = nodes.map(({ pid }) => pid)
  const browser = await launchChromium(t)
  const ada = await enter(t, browser, port, 'Ada', '127.0.0.11', { ownClock: true })
  const bob = await enter(t, browser, port, 'Bob', '127.0.0.12')
  const cid = await enter(t, browser, port, 'Cid', '127.0.0.13')
  const [adas, bobs, cids] = [await cluster.whereIs('Ada'), await cluster.whereIs('Bob'), await cluster.whereIs('Cid')]
  t.same([adas, bobs, cids].map(({ pid }) => pid).sort(), [...pids].sort(), 'each on a node of their own')
  t.same([adas.ip, bobs.ip, cids.ip], ['127.0.0.11', '127.0.0.12', '127.0.0.13'], 'with their own addresses, and not that of nginx')

  for (const person of [ada, bob, cid]) await person.sees('Ada', 'Bob', 'Cid')
  await ada.say('Good morning')
  for (const person of [bob, cid]) await person.hear('Good morning')
  await bob.say('Where are you?')
  await cid.say('On the third')
  await ada.hear('On the third')
  await cid.type('I am wr')
  for (const person of [ada, bob]) await person.shows('Cid is typing…')
  await cid.type('')
  for (const person of [ada, bob]) await person.page.getByText('Cid is typing…').waitFor({ state: 'hidden' })
  await bob.openRoom('kitchen')
  await cid.roomButton('kitchen').click()
  await cid.inRoom('kitchen')
  for (const person of [bob, cid]) await person.sees('Bob', 'Cid')
  await ada.page.getByRole('button', { name: 'kitchen 2 here' }).waitFor()
  for (const person of [bob, cid]) await person.roomButton('lobby').click()

  const other = await Person.open(browser, `http://127.0.0.1:${port}`)
  await other.giveName('Ada')
  await other.shows('Somebody here is called “Ada” already')
  await other.leave()

  // Her page stands still until all is said that she is to miss.
  await ada.page.clock.pauseAt(Date.now() + 1_000)
  process.kill(adas.pid, 'SIGKILL')
  await ada.is('waiting')
  await bob.say('one')
  await ada.write('from afar')
  await cid.say('two')
  t.same(await ada.log(), ['Good morning', 'Where are you?', 'On the third', '(pending) from afar'])
  await ada.page.clock.resume()
  await ada.online()
  const said = ['Good morning', 'Where are you?', 'On the third', 'one', 'two', 'from afar']
  for (const person of [bob, cid]) await person.hear('from afar')
  await ada.page.locator('.message.mine:not(.pending)', { hasText: 'from afar' }).waitFor()
  for (const person of [ada, bob, cid]) t.same(await person.log(), said, 'all of it, once, in one order')
  const back = await cluster.whereIs('Ada', adas.pid)
  t.ok(pids.includes(back.pid))
  t.equal(back.ip, '127.0.0.11')

  // As for a deployment: clients are told when to come back. One node is left then.
  const [mover, place] = back.pid === bobs.pid ? ['Cid', cids] : ['Bob', bobs]
  process.kill(place.pid, 'SIGTERM')
  t.match(await cluster.whereIs(mover, place.pid), { pid: back.pid, ip: place.ip })
  for (const person of [ada, bob, cid]) {
    await person.online()
    await person.sees('Ada', 'Bob', 'Cid')
  }
  await bob.say('on the last one')
  for (const person of [ada, cid]) await person.hear('on the last one')
  for (const person of [ada, bob, cid]) {
    t.same(await person.log(), [...said, 'on the last one'])
    t.equal(await person.page.getByText(RELOADED).count(), 0)
    t.same(person.problems, [])
  }

  const { code, stderr } = await cluster.stop('SIGINT')
  t.equal(code, 0)
  t.match(stderr, `(pid ${adas.pid}) has ended: SIGKILL`)
  t.match(stderr, `(pid ${place.pid}) has ended: code 0`)
  for (const pid of pids) t.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  await t.rejects(fetch(`http://127.0.0.1:${port}`))
  t.same(readdirSync(dir), [], 'nothing is left of it')
})

t.test('nginx asks another node while one drains, and believes nobody where they come from', async (t) => {
  const { cluster, port, nodes } = await Cluster.start(t, folder(t))
  const come = async (name: string): Promise<Comer> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?name=${name}`, 'hub.v1.json', { headers: { 'x-forwarded-for': '6.6.6.6' } })
    t.teardown(() => { socket.terminate() })
    await once(socket, 'open')
    socket.send('{"op":"resume"}')
    return { socket, ...await cluster.whereIs(name) }
  }
  const people: Comer[] = []
  for (const name of ['one', 'two', 'three', 'four', 'five', 'six']) people.push(await come(name))
  t.same(people.map(({ ip }) => ip), Array(6).fill('127.0.0.1'))
  const [stubborn, twin] = people.filter(({ pid }) => pid === people[0]?.pid)
  const address = nodes.find(({ pid }) => pid === stubborn?.pid)?.address
  // Its node has fewer than the others now, and does not end before its time: it does not hear that it is to go.
  twin?.socket.close()
  await once(twin?.socket as WebSocket, 'close')
  stubborn?.socket.pause()
  process.kill(stubborn?.pid as number, 'SIGTERM')
  while ((await fetch(`http://${address}/health`)).status !== 503);
  t.not((await come('late')).pid, stubborn?.pid)
})
