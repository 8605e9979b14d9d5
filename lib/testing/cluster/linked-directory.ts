import type { AskLogin, Directory, DirectoryEntry, DirectoryListener, Removal, SessionScope } from '../../core/ports.js'
import type { Awaitable } from '../../core/types.js'
import type { MemoryDirectory } from '../../memory/directory.js'
import type { Link } from './link.js'

/** How often each user was kicked, on whatever node. */
export type Kicks = Map<string, number>

/** The directory as a node sees it, over its link: who comes or ends while it is cut is entered, or forgotten, when it is not any more. */
export class LinkedDirectory implements Directory {
  readonly #link: Link
  readonly #inner: MemoryDirectory
  readonly #kicks: Kicks
  readonly #listener: DirectoryListener
  /** Ids of the logins of this node that may be the only ones of their user, or device. */
  readonly #alone = new Set<string>()

  /** @param inner the one of all nodes, as are `kicks`. It is not closed */
  constructor (link: Link, inner: MemoryDirectory, kicks: Kicks, listener: DirectoryListener) {
    this.#link = link
    this.#inner = inner
    this.#kicks = kicks
    this.#listener = listener
    link.leaseLost(() => { listener.onLeaseLost([...this.#alone]) })
  }

  claim (entry: DirectoryEntry, scope: SessionScope, isThere?: AskLogin): Awaitable<Removal> {
    if (this.#link.isCut) return this.#claimLater(entry, scope)
    if (scope !== 'none' && entry.user !== null) this.#alone.add(entry.id)
    return this.#inner.claim(entry, scope, isThere && (async (login) => {
      const answers = await isThere(login)
      this.#link.check()
      return answers
    }))
  }

  async removeUser (user: string): Promise<Removal> {
    this.#link.check()
    this.#kicks.set(user, this.#kicksOf(user) + 1)
    return await this.#inner.removeUser(user)
  }

  async remove (entry: Pick<DirectoryEntry, 'id' | 'user'>): Promise<boolean> {
    this.#alone.delete(entry.id)
    return await this.#link.tell(async () => await this.#inner.remove(entry))
  }

  async user (user: string): Promise<readonly DirectoryEntry[]> {
    this.#link.check()
    return await this.#inner.user(user)
  }

  async close (): Promise<void> {}

  /** Whoever takes nobody's place is let in by the hub, and is entered when that is possible, unless the user was kicked meanwhile. */
  async #claimLater (entry: DirectoryEntry, scope: SessionScope): Promise<Removal> {
    const { id, user } = entry
    if (scope !== 'none' && user !== null) this.#link.check()
    const kicks = this.#kicksOf(user)
    return await this.#link.tell(async () => {
      if (this.#kicksOf(user) === kicks) return this.#inner.claim(entry, scope)
      this.#listener.onRemoved([id], 'kick')
      return { fence: 0, removed: [] }
    })
  }

  #kicksOf (user: string | null): number { return user === null ? 0 : this.#kicks.get(user) ?? 0 }
}
