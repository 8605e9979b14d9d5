import type { Directory, DirectoryEntry, Removal, SessionScope } from '../../lib/core/ports.js'
import { MemoryDirectory } from '../../lib/memory/directory.js'

/** One call on its way to a directory and back. */
export class DirectoryCall {
  readonly name: 'claim' | 'removeUser' | 'remove' | 'user'
  /** The id of the connection, or the user. */
  readonly of: string
  taken = false
  settled = false
  readonly answered: Promise<unknown>
  readonly #run: () => Promise<unknown>
  #result: Promise<unknown> | null = null
  #resolve: (value: unknown) => void = () => {}
  #reject: (error: Error) => void = () => {}

  constructor (name: DirectoryCall['name'], of: string, run: () => Promise<unknown>) {
    this.name = name
    this.of = of
    this.#run = run
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** The directory does it, and says nothing yet. */
  take (): void {
    if (this.taken) return
    this.taken = true
    this.#result = this.#run()
  }

  /** The answer comes. */
  answer (): void {
    if (this.settled) return
    this.take()
    this.settled = true
    this.#resolve(this.#result)
  }

  /** The answer never comes: whether the directory has done it depends on `take`. */
  lose (error = new Error('the directory did not answer')): void {
    if (this.settled) return
    this.settled = true
    this.#reject(error)
  }
}

/** A Directory whose calls are taken, answered and lost when the test says so, in any order. */
export class SlowDirectory implements Directory {
  readonly inner = new MemoryDirectory()
  readonly calls: DirectoryCall[] = []

  claim (entry: DirectoryEntry, scope: SessionScope): Promise<Removal> {
    return this.#call('claim', entry.id, async () => await this.inner.claim(entry, scope)) as Promise<Removal>
  }

  removeUser (user: string): Promise<Removal> {
    return this.#call('removeUser', user, async () => await this.inner.removeUser(user)) as Promise<Removal>
  }

  remove (entry: Pick<DirectoryEntry, 'id' | 'user'>): Promise<boolean> {
    return this.#call('remove', entry.id, async () => await this.inner.remove(entry)) as Promise<boolean>
  }

  user (user: string): Promise<readonly DirectoryEntry[]> {
    return this.#call('user', user, async () => await this.inner.user(user)) as Promise<readonly DirectoryEntry[]>
  }

  async close (): Promise<void> { await this.inner.close() }

  /** The calls that have not been answered, of one kind or all. */
  open (name?: DirectoryCall['name']): DirectoryCall[] {
    return this.calls.filter((call) => !call.settled && (name === undefined || call.name === name))
  }

  #call (name: DirectoryCall['name'], of: string, run: () => Promise<unknown>): Promise<unknown> {
    const call = new DirectoryCall(name, of, run)
    this.calls.push(call)
    return call.answered
  }
}
