import t from 'tap'
import { Example } from '../helpers/program.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { Person, setUp } from './person.js'

const RELOADED = 'History was reloaded: some of what was said while you were away may be missing.'
/** Milliseconds: how long the client waits for an answer when it is in doubt; longest wait before a try once the network is back. */
const CHECK_GRACE = 5_000
const AWAKE = 2_000

/** As when a cable is pulled: nothing arrives on either side, and nobody is told. Only connections that come later get through. */
function lose (proxy: TcpProxy): void {
  proxy.hold('up')
  proxy.hold('down')
}

t.test('after a restart of the server pages come back, with what they had and what was written meanwhile', async (t) => {
  const { browser, address, server } = await setUp(t)
  const { port } = new URL(address)
  const ada = await Person.enter(browser, address, 'Ada')
  const bob = await Person.enter(browser, address, 'Bob')
  for (const person of [ada, bob]) await person.openRoom('gardening')
  await ada.sees('Ada', 'Bob')
  await bob.say('The server is about to be restarted')
  await ada.hear('about to be restarted')

  t.match(await server.stop(), { code: 0, stderr: '' }, 'it closes cleanly')
  await ada.shows(/^You are offline: .* What you write now is sent then\.$/)
  await ada.page.locator('#state', { hasText: /Reconnecting in \d+ s/ }).waitFor()
  await ada.write('Where were we?')
  t.same(await ada.log(), ['The server is about to be restarted', '(pending) Where were we?'])
  await ada.screenshot('offline')

  await new Example(t, 'chat/server.js', { PORT: port }).address()
  await ada.online()
  await bob.hear('Where were we?')
  for (const person of [ada, bob]) {
    await person.online()
    // The log of the memory broker ended with the process, and the page says so.
    await person.shows(RELOADED)
    await person.sees('Ada', 'Bob')
    t.same(await person.log(), ['The server is about to be restarted', 'Where were we?'])
  }
  await bob.say('Here.')
  await ada.hear('Here.')
  t.same([...ada.problems, ...bob.problems], [])
})

t.test('30 seconds without a network: nothing is lost, in either direction', async (t) => {
  const { browser, address } = await setUp(t)
  const proxy = await TcpProxy.start(t, () => Number(new URL(address).port))
  const ada = await Person.enter(browser, `http://127.0.0.1:${proxy.port}`, 'Ada', { ownClock: true })
  const bob = await Person.enter(browser, address, 'Bob')
  await ada.openRoom('gardening')
  await ada.roomButton('lobby').click()
  await bob.openRoom('gardening')
  await bob.roomButton('lobby').click()
  await ada.say('before')
  await bob.hear('before')

  lose(proxy)
  await ada.page.context().setOffline(true)
  await ada.page.clock.runFor(CHECK_GRACE + 1_000)
  await ada.is('waiting')
  await bob.say('one')
  await ada.write('from the train')
  await bob.say('two')
  await bob.roomButton('gardening').click()
  await bob.say('three')
  await ada.page.clock.runFor(24_000)
  t.same(await ada.log(), ['before', '(pending) from the train'])

  await ada.page.context().setOffline(false)
  await ada.page.clock.runFor(AWAKE)
  await ada.online()
  await ada.page.locator('.message.mine:not(.pending)', { hasText: 'from the train' }).waitFor()
  t.same(await ada.log(), ['before', 'one', 'two', 'from the train'])
  await ada.page.getByRole('button', { name: 'gardening 1 unread' }).click()
  await ada.hear('three')
  await bob.roomButton('lobby').click()
  await bob.hear('from the train')
  t.same(await bob.log(), ['before', 'one', 'two', 'from the train'])
  t.equal(await ada.page.getByText(RELOADED).count(), 0)
  t.same([...ada.problems, ...bob.problems], [])
})

t.test('a laptop that slept: what was said meanwhile is there when it is opened', async (t) => {
  const { browser, address } = await setUp(t)
  const proxy = await TcpProxy.start(t, () => Number(new URL(address).port))
  const ada = await Person.enter(browser, `http://127.0.0.1:${proxy.port}`, 'Ada', { ownClock: true })
  const bob = await Person.enter(browser, address, 'Bob')
  await ada.say('Good night')
  await bob.hear('Good night')

  // The lid is closed. A router between has forgotten the connection when it is opened: neither side knows.
  lose(proxy)
  await bob.say('one')
  await bob.say('two')
  t.same(await ada.log(), ['Good night'])
  const { opened } = proxy
  await ada.page.clock.fastForward('08:00:00')
  await ada.is('open')
  await ada.page.clock.runFor(CHECK_GRACE + AWAKE)
  await ada.hear('two')
  await ada.online()
  t.equal(proxy.opened, opened + 1, 'it connected once')
  t.same(await ada.log(), ['Good night', 'one', 'two'])
  await ada.sees('Ada', 'Bob')
  await ada.say('Good morning')
  await bob.hear('Good morning')
  t.same(await bob.log(), ['Good night', 'one', 'two', 'Good morning'])
  t.same([...ada.problems, ...bob.problems], [])
})
