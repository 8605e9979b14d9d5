import type { Directory, DirectoryEntry, Removal, SessionScope } from '../../core/ports.js'
import type { Awaitable } from '../../core/types.js'
import type { Link } from './link.js'

/** The directory as a node sees it, over its link: who ends while it is cut is forgotten when it is not any more. */
export class LinkedDirectory implements Directory {
  readonly #link: Link
  readonly #inner: Directory

  /** @param inner the one of all nodes. It is not closed */
  constructor (link: Link, inner: Directory) {
    this.#link = link
    this.#inner = inner
  }

  claim (entry: DirectoryEntry, scope: SessionScope): Awaitable<Removal> {
    return this.#link.isCut ? this.#claimLater(entry, scope) : this.#inner.claim(entry, scope)
  }

  async removeUser (user: string): Promise<Removal> {
    this.#link.check()
    return await this.#inner.removeUser(user)
  }

  async remove (entry: Pick<DirectoryEntry, 'id' | 'user'>): Promise<boolean> {
    return await this.#link.tell(async () => await this.#inner.remove(entry))
  }

  async user (user: string): Promise<readonly DirectoryEntry[]> {
    this.#link.check()
    return await this.#inner.user(user)
  }

  async close (): Promise<void> {}

  /** Whoever takes nobody's place is let in by the hub, and is entered when that is possible. */
  async #claimLater (entry: DirectoryEntry, scope: SessionScope): Promise<Removal> {
    if (scope !== 'none') this.#link.check()
    return await this.#link.tell(async () => await this.#inner.claim(entry, scope))
  }
}
