import type { Connection, DisconnectInfo, HubOptions, Message } from '../../lib/index.js'

export interface Lives {
  connected: Connection[]
  received: string[]
  ends: DisconnectInfo[]
  handlers: Required<Pick<HubOptions, 'onConnect' | 'onMessage' | 'onDisconnect'>>
}

/** What an application sees of the connections under test: onConnect and onDisconnect are called one for one, always. */
export function lives (): Lives {
  const connected: Connection[] = []
  const received: string[] = []
  const ends: DisconnectInfo[] = []
  return {
    connected,
    received,
    ends,
    handlers: {
      onConnect: (connection: Connection): unknown => connected.push(connection),
      onMessage: (_: Connection, message: Message): unknown => received.push(message.text()),
      onDisconnect: (_: Connection, info: DisconnectInfo): unknown => ends.push(info)
    }
  }
}
