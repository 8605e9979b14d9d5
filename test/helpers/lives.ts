import type { Connection, DisconnectInfo, HubOptions, Message } from '../../lib/index.js'

export interface Lives {
  connected: Connection[]
  received: string[]
  ends: DisconnectInfo[]
  /** Whose ends those are. */
  left: Connection[]
  handlers: Required<Pick<HubOptions, 'onConnect' | 'onMessage' | 'onDisconnect'>>
}

/** What an application sees of the connections under test: onConnect and onDisconnect are called one for one, always. */
export function lives (): Lives {
  const connected: Connection[] = []
  const received: string[] = []
  const ends: DisconnectInfo[] = []
  const left: Connection[] = []
  return {
    connected,
    received,
    ends,
    left,
    handlers: {
      onConnect: (connection: Connection): unknown => connected.push(connection),
      onMessage: (_: Connection, message: Message): unknown => received.push(message.text()),
      onDisconnect: (connection: Connection, info: DisconnectInfo): unknown => {
        left.push(connection)
        return ends.push(info)
      }
    }
  }
}
