import { mkdirSync } from 'node:fs'
import type { Browser, Locator, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { Example } from '../helpers/program.js'
import { launchChromium } from './chromium.js'

/** Of the page; the tests are compiled without the types of browsers. */
declare const document: { querySelectorAll: (selector: string) => Iterable<{ textContent: string }> }

const SCREENSHOTS = new URL('../../screenshots/', import.meta.url)
const DESKTOP = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 844 }

/** One person in front of the page, in a browser profile of their own. */
class Person {
  readonly page: Page
  /** What went wrong in the page: errors of scripts and in the console, dialogs. */
  readonly problems: string[] = []

  private constructor (page: Page) {
    this.page = page
    page.on('console', (message) => { if (message.type() === 'error') this.problems.push(message.text()) })
    page.on('pageerror', (error) => { this.problems.push(String(error)) })
    page.on('dialog', (dialog) => {
      this.problems.push(`dialog: ${dialog.message()}`)
      dialog.dismiss().catch(() => {})
    })
  }

  static async open (browser: Browser, address: string): Promise<Person> {
    const context = await browser.newContext({ viewport: DESKTOP, colorScheme: 'light' })
    const person = new Person(await context.newPage())
    await person.page.goto(address)
    return person
  }

  static async enter (browser: Browser, address: string, name: string): Promise<Person> {
    const person = await Person.open(browser, address)
    await person.giveName(name)
    await person.online()
    return person
  }

  async giveName (name: string): Promise<void> {
    await this.page.getByLabel('Your name').fill(name)
    await this.page.getByRole('button', { name: 'Join the chat' }).click()
  }

  async online (): Promise<void> {
    await this.page.locator('#state[data-is="online"]').waitFor()
    await this.page.locator('#composer button:enabled').waitFor()
  }

  async openRoom (name: string): Promise<void> {
    await this.page.getByLabel('Name of a room to open or join').fill(name)
    await this.page.keyboard.press('Enter')
    await this.inRoom(name)
  }

  /** In the list on the left. */
  roomButton (name: string): Locator {
    return this.page.getByRole('navigation', { name: 'Rooms' }).getByRole('button', { name: new RegExp(`^${name} `) })
  }

  async inRoom (name: string): Promise<void> {
    await this.page.getByRole('heading', { level: 1, name }).waitFor()
    await this.page.locator('#composer button:enabled').waitFor()
  }

  async say (text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text)
    await this.page.keyboard.press('Enter')
    await this.page.locator('.message.mine:not(.pending)', { hasText: text }).waitFor()
  }

  /** Waits for somebody else's message. */
  async hear (text: string): Promise<Locator> {
    const message = this.page.locator('.message:not(.mine)', { hasText: text })
    await message.waitFor()
    return message
  }

  /** Waits until exactly these people are shown as present. */
  async sees (...names: string[]): Promise<void> {
    await this.page.waitForFunction((expected) => {
      const shown = [...document.querySelectorAll('#people .who')].map(({ textContent }) => textContent)
      return shown.sort().join() === expected
    }, names.sort().join())
  }

  async shows (text: string | RegExp): Promise<void> {
    await this.page.getByText(text).filter({ visible: true }).first().waitFor()
  }

  async screenshot (name: string): Promise<void> {
    mkdirSync(SCREENSHOTS, { recursive: true })
    for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await this.page.setViewportSize(viewport)
      for (const colorScheme of ['light', 'dark'] as const) {
        await this.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        await this.page.screenshot({ path: new URL(`${name}-${device}-${colorScheme}.png`, SCREENSHOTS).pathname })
      }
    }
    await this.page.setViewportSize(DESKTOP)
  }

  async leave (): Promise<void> {
    await this.page.context().close()
  }
}

async function setUp (t: Test): Promise<{ browser: Browser, address: string, server: Example }> {
  const server = new Example(t, 'chat/server.js', { PORT: '0' })
  const address = await server.address()
  return { browser: await launchChromium(t), address, server }
}

t.test('two people talk in rooms, and see who is there', async (t) => {
  const { browser, address, server } = await setUp(t)
  const ada = await Person.enter(browser, address, 'Ada')
  const bob = await Person.enter(browser, address, 'Bob')
  await ada.sees('Ada', 'Bob')
  await bob.sees('Ada', 'Bob')

  await ada.say('Good morning, Bob!')
  const heard = await bob.hear('Good morning, Bob!')
  t.match(await heard.innerText(), /Ada/, 'with its author')
  t.match(await heard.locator('time').getAttribute('datetime'), /^\d{4}-\d\d-\d\dT/, 'and its time')
  await bob.say('Good morning!\nTwo lines, one message.')
  await ada.hear('Two lines, one message.')
  t.equal(await ada.page.locator('.message.mine').count(), 1, 'nobody gets an echo of their own messages')

  await ada.openRoom('gardening')
  await ada.sees('Ada')
  await bob.roomButton('gardening').click()
  await bob.inRoom('gardening')
  await ada.sees('Ada', 'Bob')
  await ada.openRoom('kitchen')
  await bob.openRoom('kitchen')
  await bob.roomButton('gardening').click()
  await ada.say('The soup is ready')
  await bob.page.getByRole('button', { name: 'kitchen 1 unread' }).waitFor()
  t.equal(await bob.page.locator('.log:visible .message').count(), 0, 'what is said in a room stays there')
  await bob.roomButton('kitchen').click()
  await bob.hear('The soup is ready')

  await bob.page.getByRole('button', { name: 'Leave', exact: true }).click()
  await ada.sees('Ada')
  await ada.shows('Bob left')
  await ada.roomButton('lobby').click()
  await ada.sees('Ada', 'Bob')
  await bob.leave()
  await ada.sees('Ada')

  t.same([...ada.problems, ...bob.problems], [])
  t.match(await server.stop('SIGINT'), { code: 0, stderr: '' }, 'Ctrl+C ends it')
})

t.test('markup is text', async (t) => {
  const { browser, address } = await setUp(t)
  const name = '<img src=x onerror=alert(1)>'
  const room = '<b onclick=alert(2)>room</b>'
  const text = '<script>alert(3)</script><img src="x" onerror="alert(4)"> & &lt;i&gt;'
  const mallory = await Person.enter(browser, address, name)
  const ada = await Person.enter(browser, address, 'Ada')
  await ada.sees('Ada', name)
  await mallory.say(text)
  const message = await ada.hear('alert(4)')
  t.equal(await message.locator('.bubble').textContent(), text)
  t.equal(await message.locator('b').textContent(), name)
  await mallory.openRoom(room)
  await ada.page.getByRole('button', { name: room }).click()
  await ada.sees('Ada', name)
  t.equal(await ada.page.locator('#room-name').textContent(), room)
  for (const person of [ada, mallory]) {
    t.equal(await person.page.locator('#chat').locator('script, [onerror], [onclick], img:not([src="/icon.svg"])').count(), 0)
    t.same(person.problems, [])
  }
})

t.test('a name that is missing or taken is asked for again', async (t) => {
  const { browser, address } = await setUp(t)
  const ada = await Person.enter(browser, address, 'Ada')
  const other = await Person.open(browser, address)
  await other.giveName('   ')
  await other.shows('Please tell us your name first.')
  await other.giveName('Ada\u200b')
  await other.shows('Please use visible characters only.')
  await other.giveName(' Ada ')
  await other.shows('Somebody here is called “Ada” already')
  await other.giveName('Ada L.')
  await other.online()
  await ada.sees('Ada', 'Ada L.')
  t.same([...ada.problems, ...other.problems], [])
})

t.test('a page that was kicked says so and stays away until it is asked', async (t) => {
  const { browser, address } = await setUp(t)
  const ada = await Person.enter(browser, address, 'Ada')
  const tab = await ada.page.evaluate<string>('sessionStorage.getItem("tab")')
  const taker = new WebSocket(`${address.replace('http', 'ws')}/ws?name=Ada&tab=${tab}`)
  t.teardown(() => { taker.terminate() })
  await ada.page.locator('#state', { hasText: 'Closed: continued in another tab' }).waitFor()
  t.equal(await ada.page.getByRole('button', { name: 'Send' }).isDisabled(), true)
  await ada.page.getByRole('button', { name: 'Come back' }).click()
  await ada.online()
  await ada.sees('Ada')
  await ada.page.reload()
  await ada.online()
  t.same(ada.problems, [])
})

t.test('after a restart of the server pages come back by themselves', async (t) => {
  const { browser, address, server } = await setUp(t)
  const { port } = new URL(address)
  const ada = await Person.enter(browser, address, 'Ada')
  const bob = await Person.enter(browser, address, 'Bob')
  await ada.openRoom('gardening')
  await bob.openRoom('gardening')

  t.match(await server.stop(), { code: 0, stderr: '' }, 'it closes cleanly')
  await ada.shows('You are offline: service restart.')
  await ada.page.locator('#state', { hasText: /Reconnecting in \d+ s/ }).waitFor()
  await ada.screenshot('offline')

  await new Example(t, 'chat/server.js', { PORT: port }).address()
  await ada.online()
  await bob.online()
  await ada.sees('Ada', 'Bob')
  await ada.say('Where were we?')
  await bob.hear('Where were we?')
  // Chromium itself writes a line for each try while nobody listens.
  const others = [...ada.problems, ...bob.problems].filter((problem) => !/^WebSocket connection to '.*' failed: .*ERR_CONNECTION_REFUSED/.test(problem))
  t.same(others, [])
})

t.test('screenshots', async (t) => {
  const { browser, address } = await setUp(t)
  const gate = await Person.open(browser, address)
  await gate.screenshot('gate')
  const ada = await Person.enter(browser, address, 'Ada')
  const bob = await Person.enter(browser, address, 'Bob')
  const chidi = await Person.enter(browser, address, 'Chidi Anagonye')
  await ada.sees('Ada', 'Bob', 'Chidi Anagonye')
  await chidi.openRoom('release party')
  await bob.openRoom('gardening')
  await bob.roomButton('lobby').click()
  await bob.say('Morning! Has anybody seen the new dashboard?')
  await ada.hear('new dashboard')
  await ada.say('Yes, it is up since nine.')
  await ada.say('Twelve thousand sockets, and the graph is a flat line.')
  await bob.hear('flat line')
  await chidi.roomButton('lobby').click()
  await chidi.say('That is what I like to hear. What happens when we deploy?\nEverybody used to come back at the same second.')
  await ada.hear('same second')
  await ada.say('They get 1012, spread over five seconds, and come back with jitter. Look: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1')
  await bob.hear('jitter')
  await bob.say('Lovely.')
  await ada.hear('Lovely.')
  await ada.openRoom('gardening')
  await bob.say('See you at the release party then.')
  await ada.page.getByRole('button', { name: 'lobby 1 unread' }).waitFor()
  await ada.screenshot('room-unread')
  await ada.roomButton('lobby').click()
  await ada.hear('See you')
  await ada.screenshot('chat')
  for (const viewport of [DESKTOP, PHONE]) {
    await ada.page.setViewportSize(viewport)
    t.equal(await ada.page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, `fits ${viewport.width}`)
  }
  t.same([...gate.problems, ...ada.problems, ...bob.problems, ...chidi.problems], [])
})
