import type { Directory, DirectoryEntry } from '../core/ports.js'

/** The directory of the hubs of one process. Keeps the entries it is given, no copies. */
export class MemoryDirectory implements Directory {
  readonly #byId = new Map<string, DirectoryEntry>()
  readonly #byUser = new Map<string, Set<DirectoryEntry>>()

  async add (entry: DirectoryEntry): Promise<void> {
    this.#byId.set(entry.id, entry)
    if (entry.user === null) return
    const own = this.#byUser.get(entry.user)
    if (own === undefined) this.#byUser.set(entry.user, new Set([entry]))
    else own.add(entry)
  }

  async remove (id: string): Promise<boolean> {
    const entry = this.#byId.get(id)
    if (entry === undefined) return false
    this.#byId.delete(id)
    if (entry.user !== null) {
      const own = this.#byUser.get(entry.user)
      own?.delete(entry)
      if (own?.size === 0) this.#byUser.delete(entry.user)
    }
    return true
  }

  async user (user: string): Promise<readonly DirectoryEntry[]> {
    return [...this.#byUser.get(user) ?? []]
  }

  async close (): Promise<void> {
    this.#byId.clear()
    this.#byUser.clear()
  }
}
