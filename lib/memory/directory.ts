import { MultiMap } from '../core/multi-map.js'
import { Outranked } from '../core/outranked.js'
import type { AskLogin, Directory, DirectoryEntry, Removal, SessionScope } from '../core/ports.js'
import type { Awaitable } from '../core/types.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'

/** A login whose client is asked whether it is there. */
interface Asked { readonly entry: DirectoryEntry, isKicked: boolean }

/** The directory of the hubs of one process. Keeps the entries it is given, no copies. */
export class MemoryDirectory implements Directory {
  readonly #byId = new Map<string, DirectoryEntry>()
  readonly #byUser = new MultiMap<DirectoryEntry>()
  /** By user: a kick ends them, too. */
  readonly #asked = new MultiMap<Asked>()
  /** How many logins that may be alone had come when this one came. */
  readonly #arrivals = new WeakMap<DirectoryEntry, number>()
  #arrived = 0
  #fence = 0

  claim (entry: DirectoryEntry, scope: SessionScope, isThere?: AskLogin): Awaitable<Removal> {
    const { user } = entry
    if (user === null || scope === 'none') return this.#claim(entry, scope)
    this.#arrivals.set(entry, ++this.#arrived)
    return isThere === undefined || this.#inScope(entry, scope).length === 0 ? this.#claim(entry, scope) : this.#claimIf(isThere, entry, scope, user)
  }

  async removeUser (user: string): Promise<Removal> {
    const [entered, asked] = [this.#ofUser(user), [...this.#asked.get(user)]]
    for (const entry of entered) this.#remove(entry)
    for (const one of asked) {
      this.#asked.delete(user, one)
      one.isKicked = true
    }
    return { fence: ++this.#fence, removed: [...entered, ...asked.map(({ entry }) => entry)] }
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

  async #claimIf (isThere: AskLogin, entry: DirectoryEntry, scope: SessionScope, user: string): Promise<Removal> {
    // Whoever is heard of first, the one that came last has the place: the others may be earlier tries of the same client.
    const asked: Asked = { entry, isKicked: false }
    this.#asked.add(user, asked)
    const ask = async (login: DirectoryEntry): Promise<boolean> => {
      const answers = await isThere(login)
      if (asked.isKicked) throw new Outranked('kick')
      return answers
    }
    const findLater = (): DirectoryEntry | undefined => this.#inScope(entry, scope).find((other) => this.#arrival(other) > this.#arrival(entry))
    try {
      if (!await ask(entry)) throw new FST_HUB_BROKER_UNAVAILABLE('its client does not answer, and another login is there')
      for (let later = findLater(); later !== undefined;) {
        // It found the place free, and was not asked: it may be an earlier try of the same client, which came late.
        if (await ask(later)) throw new Outranked('login')
        const silent = later
        later = findLater()
        if (later === silent) throw new FST_HUB_BROKER_UNAVAILABLE('a login that came later may be there')
      }
      return this.#claim(entry, scope)
    } finally {
      this.#asked.delete(user, asked)
    }
  }

  #arrival (entry: DirectoryEntry): number { return this.#arrivals.get(entry) ?? 0 }

  #claim (entry: DirectoryEntry, scope: SessionScope): Removal {
    const removed = this.#inScope(entry, scope)
    for (const other of removed) this.#remove(other)
    this.#byId.set(entry.id, entry)
    if (entry.user !== null) this.#byUser.add(entry.user, entry)
    return { fence: ++this.#fence, removed }
  }

  /** Those whose place a login takes. */
  #inScope ({ user, device }: DirectoryEntry, scope: SessionScope): DirectoryEntry[] {
    return scope === 'none' ? [] : this.#ofUser(user).filter((other) => scope === 'user' || other.device === device)
  }

  #ofUser (user: string | null): DirectoryEntry[] { return user === null ? [] : [...this.#byUser.get(user)] }

  #remove (entry: DirectoryEntry): void {
    this.#byId.delete(entry.id)
    if (entry.user !== null) this.#byUser.delete(entry.user, entry)
  }
}
