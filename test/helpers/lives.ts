import type { Connection, DisconnectInfo, HubOptions } from '../../lib/index.js'

/** Counts calls of onConnect and onDisconnect: one for one, always. */
export function lives (): { connected: Connection[], ends: DisconnectInfo[], handlers: Required<Pick<HubOptions, 'onConnect' | 'onDisconnect'>> } {
  const ends: DisconnectInfo[] = []
  const connected: Connection[] = []
  return {
    ends,
    connected,
    handlers: {
      onConnect: (connection: Connection): unknown => connected.push(connection),
      onDisconnect: (_: Connection, info: DisconnectInfo): unknown => ends.push(info)
    }
  }
}
