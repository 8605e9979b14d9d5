import { mkdirSync } from 'node:fs'
import type { Browser, Locator, Page } from 'playwright-core'
import type { Test } from 'tap'
import { Example } from '../helpers/program.js'
import { launchChromium } from './chromium.js'

/** Of the page; the tests are compiled without the types of browsers. */
declare const document: { querySelectorAll: (selector: string) => Iterable<{ textContent: string }> }

const SCREENSHOTS = new URL('../../screenshots/', import.meta.url)
export const DESKTOP = { width: 1280, height: 800 }
export const PHONE = { width: 390, height: 844 }
/** Chromium itself writes a line for each try while there is no server, or no network, or the server is about to end. */
const NO_SERVER = /^WebSocket connection to '.*' failed: .*(net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INTERNET_DISCONNECTED)|Unexpected response code: 503)/

/** One person in front of the page, in a browser profile of their own. */
export class Person {
  readonly page: Page
  /** What went wrong in the page: errors of scripts and in the console, dialogs. */
  readonly problems: string[] = []

  private constructor (page: Page) {
    this.page = page
    page.on('console', (message) => { if (message.type() === 'error' && !NO_SERVER.test(message.text())) this.problems.push(message.text()) })
    page.on('pageerror', (error) => { this.problems.push(String(error)) })
    page.on('dialog', (dialog) => {
      this.problems.push(`dialog: ${dialog.message()}`)
      dialog.dismiss().catch(() => {})
    })
  }

  /** @param ownClock whether the time of the page is the test's to move: `page.clock` */
  static async open (browser: Browser, address: string, { ownClock = false } = {}): Promise<Person> {
    const context = await browser.newContext({ viewport: DESKTOP, colorScheme: 'light' })
    const person = new Person(await context.newPage())
    if (ownClock) await person.page.clock.install()
    await person.page.goto(address)
    return person
  }

  static async enter (browser: Browser, address: string, name: string, options?: { ownClock?: boolean }): Promise<Person> {
    const person = await Person.open(browser, address, options)
    await person.giveName(name)
    await person.online()
    return person
  }

  async giveName (name: string): Promise<void> {
    await this.page.getByLabel('Your name').fill(name)
    await this.page.getByRole('button', { name: 'Join the chat' }).click()
  }

  async online (): Promise<void> {
    await this.is('open')
    await this.page.locator('#composer button:enabled').waitFor()
  }

  /** Waits for a state of the connection. */
  async is (state: 'connecting' | 'recovering' | 'open' | 'waiting' | 'closed'): Promise<void> {
    await this.page.locator(`#state[data-is="${state}"]`).waitFor()
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

  /** Puts it into the composer. */
  async type (text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text)
  }

  /** Sends it, whether or not there is a connection. */
  async write (text: string): Promise<void> {
    await this.type(text)
    await this.page.keyboard.press('Enter')
    await this.page.locator('.message.mine', { hasText: text }).waitFor()
  }

  async say (text: string): Promise<void> {
    await this.write(text)
    await this.page.locator('.message.mine:not(.pending)', { hasText: text }).waitFor()
  }

  /** The messages that the room shows, in order. */
  async log (): Promise<string[]> {
    return await this.page.locator('.log:visible .message').evaluateAll((messages: Array<{ className: string, querySelector: (selector: string) => { textContent: string } }>) =>
      messages.map((message) => `${message.className.includes('pending') ? '(pending) ' : ''}${message.querySelector('.bubble').textContent}`))
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

/** The chat, and a browser. */
export async function setUp (t: Test): Promise<{ browser: Browser, address: string, server: Example }> {
  const server = new Example(t, 'chat/server.js', { PORT: '0' })
  const address = await server.address()
  return { browser: await launchChromium(t), address, server }
}
