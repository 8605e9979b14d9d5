import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'

const EXAMPLES = new URL('../../examples/', import.meta.url)

export interface Ended { code: number | null, signal: NodeJS.Signals | null, stdout: string, stderr: string }

/** A process of its own. The test ends it if it has not ended by then. */
export class Program {
  readonly #child: ChildProcess
  readonly ended: Promise<Ended>
  #stdout = ''
  #stderr = ''

  constructor (t: Test, command: string, args: string[], env: Record<string, string> = {}) {
    this.#child = spawn(command, args, { env: { PATH: process.env['PATH'], ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stdout?.setEncoding('utf8').on('data', (data: string) => { this.#stdout += data })
    this.#child.stderr?.setEncoding('utf8').on('data', (data: string) => { this.#stderr += data })
    this.ended = once(this.#child, 'close').then(([code, signal]) => ({ code, signal, stdout: this.#stdout, stderr: this.#stderr }))
    t.teardown(async () => {
      this.#child.kill('SIGKILL')
      await this.ended
    })
  }

  /** Waits for it to print something. @returns what matched */
  async printed (pattern: RegExp): Promise<string> {
    const printed = new Promise<string>((resolve) => {
      const look = (): void => {
        const [found] = pattern.exec(this.#stdout) ?? []
        if (found === undefined) return
        this.#child.stdout?.off('data', look)
        resolve(found)
      }
      this.#child.stdout?.on('data', look)
      look()
    })
    const ended = this.ended.then(({ code, stderr }): never => { throw new Error(`it ended with ${code}: ${stderr}`) })
    return await Promise.race([printed, ended])
  }

  signal (signal: NodeJS.Signals): void { this.#child.kill(signal) }

  /** Asks it to end, as Ctrl+C and service managers do. */
  async stop (signal: 'SIGINT' | 'SIGTERM' = 'SIGTERM'): Promise<Ended> {
    this.#child.kill(signal)
    return await this.ended
  }
}

/** A built example, started as a user starts it: without what tap adds to the options of Node for its coverage, which has no use here. */
export class Example extends Program {
  constructor (t: Test, file: string, env: Record<string, string> = {}) {
    super(t, 'env', ['-u', 'NODE_OPTIONS', process.execPath, new URL(file, EXAMPLES).pathname], env)
  }

  /** The address that it prints. */
  async address (): Promise<string> { return await this.printed(/http:\/\/127\.0\.0\.1:\d+/) }
}
