import { randomUUID } from 'node:crypto'
import type { FastifyContextConfig, FastifyInstance, FastifyPluginAsync, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { serveAsyncApi } from './asyncapi/route.js'
import type { NodePorts } from './core/cluster/hub-cluster.js'
import { historyPolicies } from './core/history-policy.js'
import { describe } from './core/describe.js'
import type { Backend } from './core/hub-config.js'
import { LocalHub } from './core/hub.js'
import { EventRegistry } from './core/hub-v1/events.js'
import { processBudget } from './core/queue-budget.js'
import { connectionCapacity, openFileLimit } from './core/open-file-limit.js'
import { FST_HUB_DUPLICATE_NAME, FST_HUB_INVALID_OPTIONS, FST_HUB_METHOD_NOT_ALLOWED, FST_HUB_UPGRADE_REQUIRED } from './errors.js'
import { MemoryBroker, MemoryBus } from './memory/broker.js'
import { MemoryDirectory } from './memory/directory.js'
import { MemoryInboxes, MemoryMesh } from './memory/inboxes.js'
import { MemoryOfflineStore } from './memory/offline-store.js'
import { MemoryPresence, MemoryPresenceStore } from './memory/presence.js'
import type { HubOptions, ResolvedOptions, ResolvedRedis } from './options.js'
import { HUB_SUBPROTOCOLS } from './protocol/hub-v1/codecs.js'
import type { RedisPorts } from './redis/redis-ports.js'
import { resolveOptions } from './resolve-options.js'
import { Handover } from './transports/handover.js'
import { ServerSockets } from './transports/server-sockets.js'
import { UpgradeGate } from './transports/upgrade-gate.js'
import { endUnfinishedRequests, limitUnfinishedRequests } from './transports/unfinished-requests.js'
import { addHandshakeHeaders, closeOtherSockets, provideWebSocketServer } from './transports/websocket-server.js'
import { PathMatcher } from './upgrade/path-matcher.js'
import { logRefusal } from './upgrade/refusal.js'
import { Upgrades } from './upgrade/upgrades.js'

const MAX_DEFAULT_CONNECTIONS = 100_000
const DEFAULT_CLOSE = 5_000

/** In a route's config: whose WebSocket it has. */
const kWebSocket = Symbol('fastify-hub.websocket')

/** What a hub without Redis rests upon: its process. */
const PROCESS: Backend = { troubles: () => [], counters: () => ({ waiting: 0, trimmed: 0, parked: 0 }) }

/** Of the time that Fastify gives a preClose hook: less, for its own timer must not be the first. */
const SHARE_OF_PLUGIN_TIMEOUT = 0.9
const A_WHILE = 60_000

interface RouteMark { [kWebSocket]?: Upgrades | 'other' | 'none' }

const plugin: FastifyPluginAsync<HubOptions> = async (app, given) => {
  const capacity = connectionCapacity(openFileLimit())
  const options = resolveOptions(given, Math.min(MAX_DEFAULT_CONNECTIONS, capacity))
  const { decorateAs, limits, deadlines, compression } = options
  if (limits.connections === 0 || limits.connections > capacity) {
    app.log.warn({ connections: limits.connections, capacity }, 'limits.connections is more than the open-file limit allows: beyond it the system resets connections')
  }
  if (app.initialConfig.http2 === true) app.log.warn('WebSockets over HTTP/2 (RFC 8441) are not supported: only clients that speak HTTP/1.1 can connect')
  if (app.hasDecorator(decorateAs)) throw new FST_HUB_DUPLICATE_NAME(decorateAs)

  const seesAll = await provideWebSocketServer(app, {
    websocket: options.websocket,
    maxMessageBytes: limits.maxMessageBytes,
    closeTimeout: deadlines.close,
    deflate: compression.level > 0
  })
  limitUnfinishedRequests(app.server)
  const sockets = ServerSockets.of(app.server, options.clock)
  if (limits.sockets > 0 && !sockets.restrict(limits.sockets)) {
    app.log.warn({ maxConnections: sockets.limit, sockets: limits.sockets }, 'limits.sockets is not applied: the app has given its server a maxConnections')
  }

  const events = new EventRegistry()
  const nodeId = randomUUID()
  const redis = options.redis === undefined ? null : await createRedisPorts(app, options, options.redis, nodeId)
  const hub = createHub(app, options, sockets, events, nodeId, redis)
  const upgrades = new Upgrades(hub, new Handover(app.websocketServer, deadlines.close), options)
  app.decorate(decorateAs, hub)
  addHandshakeHeaders(app, (request) => upgrades.switching(request))
  const websockets = guardRoutes(app, options, upgrades, seesAll)
  addRoutes(app, options, upgrades)
  serveAsyncApi(app, options, events)
  const gate = UpgradeGate.of(app.server)
  gate.join({
    claims: ({ url = '' }) => options.guardUpgrades || websockets.matches(url),
    drain: async () => { await hub.drain() },
    onRefused: (error) => {
      hub.refuse(error)
      logRefusal(app.log, error)
    }
  })

  const close = async (): Promise<void> => {
    const stop = async (): Promise<void> => { await hub.stop() }
    await (redis === null ? stop() : redis.close(stop))
  }
  try {
    // As long as the app has no port: nobody comes before the hub can do what it promises.
    await redis?.begin(options.redis?.lazy === true)
  } catch (error) {
    await close()
    throw error
  }
  app.addHook('onReady', async () => { await hub.start() })
  let emptied: Promise<unknown> | undefined
  app.addHook('preClose', async () => {
    endUnfinishedRequests(app.server, options.clock)
    emptied = Promise.all([gate.close(), closeOtherSockets(app.websocketServer, deadlines.close || DEFAULT_CLOSE)])
    const { pluginTimeout = 0 } = app.initialConfig
    // That of one hook, for all hubs of the app together.
    await atMost(emptied, pluginTimeout === 0 ? 0 : Math.max(1, pluginTimeout * SHARE_OF_PLUGIN_TIMEOUT - gate.closingFor))
  })
  app.addHook('onClose', async () => {
    // The server listens no more, and timers of the hub keep no process.
    const kept = setInterval(() => {}, A_WHILE)
    try {
      await emptied
    } finally {
      await close().finally(() => { clearInterval(kept) })
    }
  })
}

/**
 * For a preClose hook that takes longer than `pluginTimeout`, Fastify rejects `close()` in the middle of it. It has as long as
 * it needs in onClose: the server only listens no more meanwhile.
 * @param ms 0: no limit
 */
async function atMost (work: Promise<unknown>, ms: number): Promise<void> {
  if (ms === 0) {
    await work
    return
  }
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => { timer = setTimeout(resolve, ms) })
  await Promise.race([work, late])
  clearTimeout(timer)
}

/** Without the option, nothing of it is loaded. */
async function createRedisPorts (app: FastifyInstance, options: ResolvedOptions, redis: ResolvedRedis, nodeId: string): Promise<RedisPorts> {
  const { RedisPorts } = await import('./redis/redis-ports.js')
  const { clock, history, presence, offline } = options
  return await RedisPorts.create({
    ...redis,
    nodeId,
    clock,
    log: app.log,
    policyOf: historyPolicies(history),
    presenceInterval: presence.interval,
    maxOffline: offline.maxMessages
  })
}

/** Whether messages are kept for users: somebody must be able to acknowledge them. */
function keepsForUsers ({ offline, subprotocols }: ResolvedOptions): boolean {
  return offline.maxMessages > 0 && subprotocols.some((name) => HUB_SUBPROTOCOLS.includes(name))
}

function createHub (app: FastifyInstance, options: ResolvedOptions, sockets: ServerSockets, events: EventRegistry, nodeId: string, redis: RedisPorts | null): LocalHub {
  const {
    authorize, clock, compression, deadlines, drain, heartbeat, history, inbound, limits, messages, offline, queue, refresh, resume, sessions,
    onConnect, onMessage, onDisconnect
  } = options
  const { offlineStore, ...ports } = redis?.ports ?? portsOf(options)
  return new LocalHub({
    ...ports,
    nodeId,
    clock,
    log: app.log,
    queue,
    budget: processBudget,
    compression,
    limits,
    sockets,
    drain,
    sessions,
    handlers: { onConnect, onMessage, onDisconnect },
    settings: {
      heartbeat,
      deadlines,
      overflow: queue.overflow,
      maxPending: inbound.maxPending,
      messages,
      rate: limits
    },
    history: historyPolicies(history),
    hubV1: {
      application: { ...authorize, refresh },
      events,
      resume,
      terms: { heartbeat, limits: { maxMessageBytes: limits.maxMessageBytes, messagesPerSecond: limits.messagesPerSecond, burst: limits.burst } },
      violations: limits.violations
    },
    offline: { ttl: offline.ttl, store: keepsForUsers(options) ? offlineStore : null },
    backend: redis ?? PROCESS
  })
}

/** What the hub needs from outside of this process: of a cluster in it, or all by itself. */
function portsOf ({ clock, cluster, history, offline, presence }: ResolvedOptions): NodePorts {
  if (cluster !== undefined) return cluster.enter({ history, presenceInterval: presence.interval, maxOffline: offline.maxMessages })
  return {
    directory: () => new MemoryDirectory(),
    presence: (listener) => new MemoryPresence(new MemoryPresenceStore(clock, presence.interval), listener),
    broker: (listener) => new MemoryBroker(new MemoryBus(clock, historyPolicies(history)), listener),
    inboxes: (nodeId, listener) => new MemoryInboxes(new MemoryMesh(clock), nodeId, listener),
    offlineStore: (listener) => new MemoryOfflineStore(clock, offline, listener)
  }
}

/**
 * Admission for the hub's routes, and answers for upgrades and methods that have no route.
 * @param seesAll whether every route with a WebSocket passes by here; else those that were declared before do not
 * @returns the paths that have a WebSocket
 */
function guardRoutes (app: FastifyInstance, { guardUpgrades }: ResolvedOptions, upgrades: Upgrades, seesAll: boolean): PathMatcher {
  const own = new PathMatcher(app)
  const websockets = new PathMatcher(app)
  app.addHook('onRoute', (route) => {
    const owner = (route.config as RouteMark | undefined)?.[kWebSocket]
    if (owner === upgrades) own.add(route.url)
    if (isWebSocketRoute(route)) websockets.add(route.url)
    if (owner === undefined) route.config = mark(route.config, isWebSocketRoute(route) ? 'other' : 'none')
  })
  app.addHook('onRequest', (request, reply, done) => {
    if (request.ws && !request.is404) {
      const owner = (request.routeOptions.config as RouteMark | undefined)?.[kWebSocket] ?? (seesAll ? 'none' : 'other')
      if (owner === upgrades) return upgrades.admit(request, reply, done)
      if (guardUpgrades && owner === 'none') return upgrades.refuse(request, reply, new FST_HUB_UPGRADE_REQUIRED('this route has no WebSocket'), done)
    }
    if (request.is404 && request.method !== 'GET' && own.matches(request.url)) return upgrades.refuse(request, reply, new FST_HUB_METHOD_NOT_ALLOWED(request.method), done)
    done()
  })
  return websockets
}

/** A copy: several routes may share one config object. */
function mark (config: FastifyContextConfig | undefined, owner: Upgrades | 'other' | 'none'): FastifyContextConfig {
  return { ...config, [kWebSocket]: owner } as FastifyContextConfig
}

function isWebSocketRoute (route: RouteOptions & { websocket?: boolean }): boolean {
  return route.websocket === true || route.wsHandler !== undefined
}

function addRoutes (app: FastifyInstance, { paths, route }: ResolvedOptions, upgrades: Upgrades): void {
  const { config, preHandler = [], ...rest } = route
  for (const path of paths) {
    inRouter(path, rest.constraints, () => app.route({
      ...rest,
      method: 'GET',
      url: path,
      websocket: true,
      exposeHeadRoute: false,
      config: mark(config as FastifyContextConfig | undefined, upgrades),
      // The hook of the instance costs an ordinary request of the app nothing: a plain GET of this route is answered here.
      onRequest: (request, reply, done) => {
        if (request.ws) done()
        else upgrades.admit(request, reply, done)
      },
      preHandler: [...Array.isArray(preHandler) ? preHandler : [preHandler], (request, _reply, done) => { upgrades.identify(request, done) }],
      // Answers undefined: a promise would keep request and reply alive as long as the socket.
      handler: (ws, request) => { upgrades.complete(ws, request) }
    }))
  }
}

/** @throws FST_HUB_INVALID_OPTIONS for what the router refuses; what Fastify refuses has a code of Fastify's */
function inRouter (path: string, constraints: object | undefined, add: () => unknown): void {
  try {
    add()
  } catch (error) {
    const { code = '', message = '' } = error as { code?: string, message?: string }
    if (code.startsWith('FST_')) throw error
    throw new FST_HUB_INVALID_OPTIONS(constraints === undefined ? 'path' : 'path, or route.constraints', 'what the router can take', `${describe(path)}: ${message}`)
  }
}

/**
 * The plugin: `app.register(fastifyHub, options)` decorates the instance with a Hub and adds its WebSocket route.
 * @throws FST_HUB_INVALID_OPTIONS, FST_HUB_DUPLICATE_NAME (register rejects)
 */
export const fastifyHub: FastifyPluginAsync<HubOptions> = fp(plugin, { fastify: '5.x', name: 'fastify-hub' })
