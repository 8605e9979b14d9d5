import type { WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify'
import type { OriginRuleOf } from './core/origin.js'
import type { Awaitable, Connection, DisconnectInfo, Identity, Message, Overflow } from './core/types.js'

/**
 * One entry of `origins`: an origin (`https://app.example.com`), `https://*.example.com` (exactly one label),
 * `https://**.example.com` (one or more), `'same-origin'`, `'null'`, a RegExp on the whole header, or a function.
 */
export type OriginRule = OriginRuleOf<FastifyRequest>

/**
 * Options of `register`. One that is `undefined` is as good as left out. Durations are milliseconds. 0 means "no limit" or "off" for limits, queue and deadlines.
 * Defaults, units and what 0 means stand in docs/options.md, which is made from the schema.
 */
export interface HubOptions {
  /** Path, or paths, of the WebSocket route; parameters allowed. Default `'/ws'`. */
  path?: string | readonly string[] | undefined
  /** Name of the decorator that holds the hub. Default `'hub'`. */
  decorateAs?: string | undefined
  /** Answer upgrades to routes without a WebSocket with 426. Default `true`. */
  guardUpgrades?: boolean | undefined
  /** Which Origin headers may connect. Default `'same-origin'`. */
  origins?: 'same-origin' | '*' | OriginRule | readonly OriginRule[] | undefined
  /** Admit clients that send no Origin header: they are no browsers. Default `true`. */
  allowMissingOrigin?: boolean | undefined
  /** Subprotocols that the server speaks, in order of preference. Default none. */
  subprotocols?: readonly string[] | undefined
  /** Refuse a client that offers none of them with 400. Default `false`. */
  requireSubprotocol?: boolean | undefined
  /** Which kind of messages a peer may send; the other closes it with 1003. Default `'any'`. */
  messages?: 'any' | 'text' | 'binary' | undefined
  /** Says who a connection is, before the 101: null refuses it with 403, an error with its statusCode or 401. */
  identify?: ((request: FastifyRequest, reply: FastifyReply) => Awaitable<Identity | null>) | undefined
  /** A connection entered the hub. A promise is awaited before its messages are handled. */
  onConnect?: ((connection: Connection) => unknown) | undefined
  /** A message came. Messages of one connection are handled in order, one at a time. */
  onMessage?: ((connection: Connection, message: Message) => unknown) | undefined
  /** A connection is gone: exactly one call for each onConnect that began. */
  onDisconnect?: ((connection: Connection, info: DisconnectInfo) => unknown) | undefined
  /** A silent peer is pinged every `interval`, and closed with 4408 after `timeout`. */
  heartbeat?: { interval?: number | undefined, timeout?: number | undefined } | undefined
  /** How long things may take. */
  deadlines?: { admit?: number | undefined, handler?: number | undefined, close?: number | undefined } | undefined
  /** The bounded queue of one connection, behind a blocked socket. */
  queue?: { maxMessages?: number | undefined, maxBytes?: number | undefined, overflow?: Overflow | undefined } | undefined
  /** The way in of one connection. */
  inbound?: { maxPending?: number | undefined } | undefined
  /** Caps and rates. */
  limits?: {
    connections?: number | undefined
    connectionsPerIp?: number | undefined
    upgradesPerSecond?: number | undefined
    onFull?: 'reject' | 'wait' | undefined
    waitTimeout?: number | undefined
    maxWaiting?: number | undefined
    maxMessageBytes?: number | undefined
    messagesPerSecond?: number | undefined
    burst?: number | undefined
    bytesPerSecond?: number | undefined
    violations?: number | undefined
  } | undefined
  /** How the hub empties itself when the app closes. */
  drain?: { spread?: number | undefined, timeout?: number | undefined } | undefined
  /** Passed to Fastify's route. */
  route?: Pick<RouteShorthandOptions, 'schema' | 'config' | 'constraints' | 'preValidation' | 'preHandler' | 'logLevel'> | undefined
  /** Options of @fastify/websocket, which is registered unless the app has done so. */
  websocket?: WebsocketPluginOptions | undefined
}

/** Every member is there, and none is undefined. */
type Complete<T> = { [K in keyof T]-?: NonNullable<T[K]> }

/** Options with every default in its place. */
export interface ResolvedOptions extends
  Complete<Pick<HubOptions, 'decorateAs' | 'guardUpgrades' | 'origins' | 'allowMissingOrigin' | 'subprotocols' | 'requireSubprotocol' | 'messages' | 'route' | 'websocket'>>,
  Pick<HubOptions, 'identify' | 'onConnect' | 'onMessage' | 'onDisconnect'> {
  paths: string[]
  heartbeat: Complete<NonNullable<HubOptions['heartbeat']>>
  deadlines: Complete<NonNullable<HubOptions['deadlines']>>
  queue: Complete<NonNullable<HubOptions['queue']>>
  inbound: Complete<NonNullable<HubOptions['inbound']>>
  limits: Complete<NonNullable<HubOptions['limits']>>
  drain: Complete<NonNullable<HubOptions['drain']>>
}
