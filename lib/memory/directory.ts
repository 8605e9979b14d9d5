import { MultiMap } from '../core/multi-map.js'
import type { Directory, DirectoryEntry, Removal, SessionScope } from '../core/ports.js'

/** The directory of the hubs of one process. Keeps the entries it is given, no copies. */
export class MemoryDirectory implements Directory {
  readonly #byId = new Map<string, DirectoryEntry>()
  readonly #byUser = new MultiMap<DirectoryEntry>()
  #fence = 0

  claim (entry: DirectoryEntry, scope: SessionScope): Removal {
    const removed = scope === 'none' ? [] : this.#ofUser(entry.user).filter(({ device }) => scope === 'user' || device === entry.device)
    for (const other of removed) this.#remove(other)
    this.#byId.set(entry.id, entry)
    if (entry.user !== null) this.#byUser.add(entry.user, entry)
    return { fence: ++this.#fence, removed }
  }

  async removeUser (user: string): Promise<Removal> {
    const removed = this.#ofUser(user)
    for (const entry of removed) this.#remove(entry)
    return { fence: ++this.#fence, removed }
  }

  async remove ({ id }: Pick<DirectoryEntry, 'id'>): Promise<boolean> {
    const entry = this.#byId.get(id)
    if (entry === undefined) return false
    this.#remove(entry)
    return true
  }

  async user (user: string): Promise<readonly DirectoryEntry[]> { return this.#ofUser(user) }

  async close (): Promise<void> {
    this.#byId.clear()
    this.#byUser.clear()
  }

  #ofUser (user: string | null): DirectoryEntry[] { return user === null ? [] : [...this.#byUser.get(user)] }

  #remove (entry: DirectoryEntry): void {
    this.#byId.delete(entry.id)
    if (entry.user !== null) this.#byUser.delete(entry.user, entry)
  }
}
