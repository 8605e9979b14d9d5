import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** Servers are in folders that are not in the PATH of everybody. */
const PATH = [process.env['PATH'], '/usr/local/sbin', '/usr/sbin'].join(':')

/** Why something can not be started, in a line for whoever tries. */
export class Problem extends Error {}

/** The first of some programs that there is. @throws Problem */
export function findProgram (names: readonly string[], debianPackage: string): string {
  const found = names.find((name) => spawnSync(name, ['-v'], { env: { PATH }, stdio: 'ignore' }).status === 0)
  if (found === undefined) throw new Problem(`There is no ${names.join(' or ')} in the PATH. On Debian: apt-get install ${debianPackage}`)
  return found
}

export interface ChildOptions {
  /** In front of each line that it prints. */
  readonly name: string
  /** Beside the environment of this program. */
  readonly env?: Readonly<Record<string, string>>
  /** A line of its output, by which it tells that it has started. Default: none is waited for. */
  readonly ready?: RegExp
  /** Whether a line is to be shown. Default all are. */
  readonly isShown?: (line: string) => boolean
  /** It has ended, and nobody has asked it to. */
  readonly onLost: (why: string) => void
}

/** A program that this one starts, and ends. */
export class Child {
  /** What `ready` has found. Rejects with a Problem when it ends before that. */
  readonly ready: Promise<string>
  readonly ended: Promise<void>
  readonly #process: ChildProcess
  #hasStarted = false
  #isEnding = false
  #lastLine = 'without a word'

  /** In a process group of its own: Ctrl+C is for this program, which then ends one after the other. */
  constructor (command: string, args: readonly string[], { name, env = {}, ready = /^/, isShown = () => true, onLost }: ChildOptions) {
    const child = this.#process = spawn(command, args, { env: { ...process.env, ...env, PATH }, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.ended = once(child, 'close').then(() => {
      if (this.#hasStarted && !this.#isEnding) onLost(`${name} (pid ${child.pid}) has ended: ${child.signalCode ?? `code ${child.exitCode}`}`)
    })
    this.ready = new Promise((resolve, reject) => {
      for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]] as const) {
        createInterface(from).on('line', (line) => {
          this.#lastLine = line
          if (isShown(line)) to.write(`${name}: ${line}\n`)
          const [found] = ready.exec(line) ?? []
          if (found === undefined) return
          this.#hasStarted = true
          resolve(found)
        })
      }
      this.ended.then(() => { reject(new Problem(`${name} has ended: ${this.#lastLine}`)) }, reject)
    })
    // Whoever does not wait for it need not hear of it.
    this.ready.catch(() => {})
  }

  get pid (): number { return this.#process.pid ?? 0 }

  /** Asks it to end. Of one that has not done so after so many milliseconds nothing is left. */
  async end (patience: number): Promise<void> {
    this.#isEnding = true
    this.#process.kill('SIGTERM')
    const timer = setTimeout(() => { this.kill() }, patience)
    await this.ended
    clearTimeout(timer)
  }

  /** Ends it at once, and what it has started. */
  kill (): void {
    this.#isEnding = true
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    process.kill(-this.pid, 'SIGKILL')
  }
}
