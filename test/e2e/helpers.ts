import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'
import type { Test } from 'tap'

const EXAMPLES = new URL('../../examples/', import.meta.url)

export interface Ended { code: number | null, signal: NodeJS.Signals | null, stdout: string, stderr: string }

/** A built example as a process of its own, as a user starts it. */
export class Example {
  readonly #child: ChildProcess
  readonly ended: Promise<Ended>
  #stdout = ''
  #stderr = ''

  private constructor (file: string, env: Record<string, string>) {
    this.#child = spawn(process.execPath, [new URL(file, EXAMPLES).pathname], { env: { PATH: process.env['PATH'], ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stdout?.on('data', (data) => { this.#stdout += String(data) })
    this.#child.stderr?.on('data', (data) => { this.#stderr += String(data) })
    this.ended = once(this.#child, 'close').then(([code, signal]) => ({ code, signal, stdout: this.#stdout, stderr: this.#stderr }))
  }

  /** Starts it; the test ends it if it has not ended by then. */
  static start (t: Test, file: string, env: Record<string, string> = {}): Example {
    const example = new Example(file, env)
    t.teardown(async () => {
      example.#child.kill('SIGKILL')
      await example.ended
    })
    return example
  }

  /** The address that it prints. */
  async address (): Promise<string> {
    const printed = new Promise<string>((resolve) => {
      const look = (): void => {
        const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(this.#stdout) ?? []
        if (address !== undefined) resolve(address)
      }
      this.#child.stdout?.on('data', look)
      look()
    })
    const ended = this.ended.then(({ code, stderr }): never => { throw new Error(`it ended with ${code}: ${stderr}`) })
    return await Promise.race([printed, ended])
  }

  /** Asks it to end, as Ctrl+C and service managers do. */
  async stop (signal: 'SIGINT' | 'SIGTERM' = 'SIGTERM'): Promise<Ended> {
    this.#child.kill(signal)
    return await this.ended
  }
}

/** Chromium of the system; the test closes it. */
export async function launchChromium (t: Test): Promise<Browser> {
  const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'
  if (!existsSync(executablePath)) {
    throw new Error(`There is no Chromium at ${executablePath}. Install it with: apt-get install chromium (or set CHROMIUM_PATH)`)
  }
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'
    ]
  })
  t.teardown(async () => { await browser.close() })
  return browser
}
