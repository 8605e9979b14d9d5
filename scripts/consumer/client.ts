// How a page of someone who installed the package uses the client: test-pack.js compiles it with the types of a browser, and runs it.
import { createClient, HubError, type ClientOptions, type ClientState, type WebSocketLike } from 'fastify-hub/client'
import { msgpack } from 'fastify-hub/client/msgpack'
import type { Static, TSchema, TString } from 'typebox'

/** As `typeof` of the server's map would have it. */
type Events = { say: { data: TString, reply: TSchema } }

/** The type of a browser's WebSocket is good enough, whether there is one at run time or not. */
export const ofBrowser: Pick<ClientOptions, 'WebSocket'> = typeof WebSocket === 'undefined' ? {} : { WebSocket }

class NoSocket implements WebSocketLike {
  readonly readyState = 0
  readonly protocol = ''
  binaryType = ''
  onopen = null
  onmessage = null
  onerror = null
  onclose = null
  send (): void {}
  close (): void {}
}

const client = createClient<Events>({ url: 'wss://example.com', codec: msgpack(), ...ofBrowser, WebSocket: NoSocket })
const states: Array<ClientState['is']> = []
client.on('state', ({ is }) => { states.push(is) })
client.open()
const said: Promise<Static<TSchema>> = client.emit('say', 'hello')
client.close()
const error: unknown = await said.catch((error: unknown) => error)
if (!(error instanceof HubError) || error.code !== 'closed' || states.join() !== 'connecting,closed') throw new Error('this is not the client')
