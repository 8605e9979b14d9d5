import type { Test } from 'tap'
import type { Directory, DirectoryEntry, DirectoryListener } from '../../lib/core/ports.js'

/** Views of one directory, as several nodes have them. Each test gets its own, empty. */
export interface DirectoryWorld {
  node (listener: DirectoryListener): Directory | Promise<Directory>
  close (): void | Promise<void>
}

export type DirectoryFactory = () => DirectoryWorld | Promise<DirectoryWorld>

let ids = 0

export const entry = (user: string | null, more: Partial<DirectoryEntry> = {}): DirectoryEntry => ({
  id: `connection-${++ids}`, nodeId: 'node', device: null, user, ip: null, subprotocol: null, connectedAt: 1_700_000_000_000, lastSeen: 1_700_000_001_234, ...more
})

/** @returns what makes the nodes of a test, and closes them at its end */
export function directoryNodes (factory: DirectoryFactory): (t: Test, count?: number) => Promise<[Directory, Directory]> {
  return async (t, count = 1) => {
    const world = await factory()
    const made: Directory[] = []
    const listener: DirectoryListener = {
      onRemoved: () => {},
      onLeaseLost: () => { t.fail('nobody is away') }
    }
    t.teardown(async () => {
      for (const directory of made) await directory.close()
      await world.close()
    })
    for (let i = 0; i < count; i++) made.push(await world.node(listener))
    return made as [Directory, Directory]
  }
}

export const idsOf = async (directory: Directory, user: string): Promise<string[]> => (await directory.user(user)).map(({ id }) => id).sort()

export function sorted (entries: readonly DirectoryEntry[]): DirectoryEntry[] {
  return entries
    .map(({ id, nodeId, user, device, ip, subprotocol, connectedAt, lastSeen }) => ({ id, nodeId, device, user, ip, subprotocol, connectedAt, lastSeen }))
    .sort((x, y) => Number(x.id.split('-')[1]) - Number(y.id.split('-')[1]))
}
