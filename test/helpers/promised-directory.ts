import type { AskLogin, Directory, DirectoryEntry, Removal, SessionScope } from '../../lib/core/ports.js'
import { MemoryDirectory } from '../../lib/memory/directory.js'

/** A directory of another process, which answers as soon as it can: never in the turn in which it is asked. */
export class PromisedDirectory implements Directory {
  readonly #inner = new MemoryDirectory()

  async claim (entry: DirectoryEntry, scope: SessionScope, isThere?: AskLogin): Promise<Removal> { return await this.#inner.claim(entry, scope, isThere) }

  async removeUser (user: string): Promise<Removal> { return await this.#inner.removeUser(user) }

  async remove (entry: Pick<DirectoryEntry, 'id' | 'user'>): Promise<boolean> { return await this.#inner.remove(entry) }

  async user (user: string): Promise<readonly DirectoryEntry[]> { return await this.#inner.user(user) }

  async close (): Promise<void> { await this.#inner.close() }
}
