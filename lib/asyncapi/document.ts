import type { HistoryOptions } from '../core/history-policy.js'
import type { CompiledEvent } from '../core/hub-v1/events.js'
import { hubCodecOf } from '../protocol/hub-v1/codecs.js'
import { addressOf } from './address.js'
import { Keys } from './keys.js'
import { catalogue, type Catalogue, type MessageObject } from './messages.js'

export interface AsyncApiSource {
  readonly title: string
  readonly version: string
  /** Of the WebSocket, as Fastify has them, with their prefix. */
  readonly paths: readonly string[]
  /** That the server speaks; those that are not of hub.v1 have no part in the document. */
  readonly subprotocols: readonly string[]
  readonly events: Iterable<CompiledEvent>
  /** What is kept of rooms. */
  readonly history?: HistoryOptions | undefined
}

interface Ref { $ref: string }

/** As much of AsyncAPI 3.0.0 as is used. */
export interface AsyncApiDocument {
  asyncapi: '3.0.0'
  info: { title: string, version: string, description: string }
  servers?: Record<string, { host: string, protocol: string }>
  defaultContentType: string
  channels: Record<string, object>
  operations: Record<string, {
    action: 'receive' | 'send'
    channel: Ref
    summary: string
    messages: Ref[]
    reply?: { channel: Ref, messages: Ref[] }
  }>
  components: { messages: Record<string, MessageObject>, schemas: Record<string, object> }
}

const JSON_TYPE = 'application/json'
const MSGPACK_TYPE = 'application/vnd.msgpack'

/** An AsyncAPI 3 document of a hub: seen from the server, so that it receives what clients send. */
export function asyncApiDocument ({ title, version, paths, subprotocols, events, history }: AsyncApiSource): AsyncApiDocument {
  const codecs = subprotocols.flatMap((name) => hubCodecOf(name) ?? [])
  const all = catalogue(events)
  const keys = new Keys()
  const channels: AsyncApiDocument['channels'] = {}
  const operations: AsyncApiDocument['operations'] = {}
  for (const path of paths) {
    const channel = keys.take(path.replace(/^\/|\/$/g, '') || 'root')
    channels[channel] = channelOf(path, codecs.map(({ name }) => name), all, history)
    const message = (key: string): Ref => ({ $ref: `#/channels/${channel}/messages/${key}` })
    for (const { action, message: key, summary, answers } of all.operations) {
      operations[`${channel}.${key}`] = {
        action,
        channel: { $ref: `#/channels/${channel}` },
        summary,
        messages: [message(key)],
        ...answers.length > 0 && { reply: { channel: { $ref: `#/channels/${channel}` }, messages: answers.map(message) } }
      }
    }
  }
  return {
    asyncapi: '3.0.0',
    info: { title, version, description: 'Messages of hub.v1 over a WebSocket. A message of a client that has an `id` is answered by one with the same `id`.' },
    defaultContentType: codecs.some(({ isBinary }) => !isBinary) ? JSON_TYPE : MSGPACK_TYPE,
    channels,
    operations,
    components: { messages: all.messages, schemas: all.schemas }
  }
}

function channelOf (path: string, subprotocols: readonly string[], { messages }: Catalogue, history: HistoryOptions | undefined): object {
  const { address, parameters } = addressOf(path)
  return {
    address,
    description: `A WebSocket with the subprotocol ${subprotocols.join(' or ')}. Each message is one message of the WebSocket.`,
    ...Object.keys(parameters).length > 0 && { parameters },
    messages: Object.fromEntries(Object.keys(messages).map((key) => [key, { $ref: `#/components/messages/${key}` }])),
    bindings: {
      ws: {
        method: 'GET',
        headers: { type: 'object', required: ['Sec-WebSocket-Protocol'], properties: { 'Sec-WebSocket-Protocol': { type: 'string', enum: subprotocols } } },
        bindingVersion: '0.1.0'
      }
    },
    ...history !== undefined && { 'x-rooms': roomsOf(history) }
  }
}

/** What is kept of a room, by its name or pattern: the first that fits holds. */
function roomsOf ({ rooms, size, ttl, mode }: HistoryOptions): object {
  return [
    ...Object.entries(rooms).map(([room, policy]) => ({ room, size: policy.size ?? size, ttl: policy.ttl ?? ttl, mode: policy.mode ?? mode })),
    { room: '*', size, ttl, mode }
  ]
}
