import type { WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify'
import type { OriginMatcher, OriginRuleOf } from './core/origin.js'
import type { Awaitable, Connection, DisconnectInfo, Identity, Message, Overflow } from './core/types.js'

/**
 * One entry of `origins`: an origin (`https://app.example.com`), `https://*.example.com` (exactly one label),
 * `https://**.example.com` (one or more), `'same-origin'`, `'null'`, a RegExp on the whole header, or a function.
 */
export type OriginRule = OriginRuleOf<FastifyRequest>

/**
 * Options of `register`. Durations are milliseconds. 0 means "no limit" or "off" for limits, queue and deadlines.
 * Defaults, units and what 0 means stand in docs/options.md, which is made from the schema.
 */
export interface HubOptions {
  /** Path, or paths, of the WebSocket route; parameters allowed. Default `'/ws'`. */
  path?: string | string[]
  /** Name of the decorator that holds the hub. Default `'hub'`. */
  decorateAs?: string
  /** Answer upgrades to routes without a WebSocket with 426. Default `true`. */
  guardUpgrades?: boolean
  /** Which Origin headers may connect. Default `'same-origin'`. */
  origins?: 'same-origin' | '*' | OriginRule | OriginRule[]
  /** Admit clients that send no Origin header: they are no browsers. Default `true`. */
  allowMissingOrigin?: boolean
  /** Subprotocols that the server speaks, in order of preference. Default none. */
  subprotocols?: string[]
  /** Refuse a client that offers none of them with 400. Default `false`. */
  requireSubprotocol?: boolean
  /** Which kind of messages a peer may send; the other closes it with 1003. Default `'any'`. */
  messages?: 'any' | 'text' | 'binary'
  /** Says who a connection is, before the 101: null refuses it with 403, an error with its statusCode or 401. */
  identify?: (request: FastifyRequest, reply: FastifyReply) => Awaitable<Identity | null>
  /** A connection entered the hub. A promise is awaited before its messages are handled. */
  onConnect?: (connection: Connection) => unknown
  /** A message came. Messages of one connection are handled in order, one at a time. */
  onMessage?: (connection: Connection, message: Message) => unknown
  /** A connection is gone: exactly one call for each onConnect that began. */
  onDisconnect?: (connection: Connection, info: DisconnectInfo) => unknown
  /** A silent peer is pinged every `interval`, and closed with 4408 after `timeout`. */
  heartbeat?: { interval?: number, timeout?: number }
  /** How long things may take. */
  deadlines?: { admit?: number, handler?: number, close?: number }
  /** The bounded queue of one connection, behind a blocked socket. */
  queue?: { maxMessages?: number, maxBytes?: number, overflow?: Overflow }
  /** The way in of one connection. */
  inbound?: { maxPending?: number }
  /** Caps and rates. */
  limits?: {
    connections?: number
    connectionsPerIp?: number
    upgradesPerSecond?: number
    onFull?: 'reject' | 'wait'
    waitTimeout?: number
    maxWaiting?: number
    maxMessageBytes?: number
    messagesPerSecond?: number
    burst?: number
    bytesPerSecond?: number
    violations?: number
  }
  /** How the hub empties itself when the app closes. */
  drain?: { spread?: number, timeout?: number }
  /** Passed to Fastify's route. */
  route?: Pick<RouteShorthandOptions, 'schema' | 'config' | 'constraints' | 'preValidation' | 'preHandler' | 'logLevel'>
  /** Options of @fastify/websocket, which is registered unless the app has done so. */
  websocket?: WebsocketPluginOptions
}

/** Options with every default in its place. */
export interface ResolvedOptions extends
  Required<Pick<HubOptions, 'decorateAs' | 'guardUpgrades' | 'allowMissingOrigin' | 'subprotocols' | 'requireSubprotocol' | 'messages'>>,
  Pick<HubOptions, 'identify' | 'onConnect' | 'onMessage' | 'onDisconnect'> {
  paths: string[]
  /** `origins`, compiled. */
  isOriginAllowed: OriginMatcher<FastifyRequest>
  heartbeat: Required<NonNullable<HubOptions['heartbeat']>>
  deadlines: Required<NonNullable<HubOptions['deadlines']>>
  queue: Required<NonNullable<HubOptions['queue']>>
  inbound: Required<NonNullable<HubOptions['inbound']>>
  limits: Required<NonNullable<HubOptions['limits']>>
  drain: Required<NonNullable<HubOptions['drain']>>
  route: NonNullable<HubOptions['route']>
  websocket: NonNullable<HubOptions['websocket']>
}
