import type { FastifyContextConfig, FastifyInstance, FastifyPluginAsync, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { systemClock } from './core/clock.js'
import { LocalHub } from './core/hub.js'
import { connectionCapacity, openFileLimit } from './core/open-file-limit.js'
import { compileOrigins } from './core/origin.js'
import type { Clock } from './core/ports.js'
import { FST_HUB_DUPLICATE_NAME, FST_HUB_METHOD_NOT_ALLOWED, FST_HUB_UPGRADE_REQUIRED } from './errors.js'
import { MemoryBroker, MemoryBus } from './memory/broker.js'
import { MemoryDirectory } from './memory/directory.js'
import { MemoryPresence } from './memory/presence.js'
import type { HubOptions, ResolvedOptions } from './options.js'
import { resolveOptions } from './resolve-options.js'
import { UpgradeGate } from './transports/upgrade-gate.js'
import { addHandshakeHeaders, closeOtherSockets, provideWebSocketServer, takeOver } from './transports/websocket-server.js'
import { PathMatcher } from './upgrade/path-matcher.js'
import { refuse } from './upgrade/refusal.js'
import { Upgrades } from './upgrade/upgrades.js'

const MAX_DEFAULT_CONNECTIONS = 100_000
/** Milliseconds for the headers of a request, and how often Node looks: a slow handshake gets 408 within their sum. */
const HEADERS_TIMEOUT = 10_000
const CONNECTIONS_CHECK = 5_000
const NODE_HEADERS_TIMEOUT = 60_000
const NODE_CONNECTIONS_CHECK = 30_000
const DEFAULT_CLOSE = 5_000

/** In a route's config: it is a route of this hub, or has no WebSocket. */
const kUpgrades = Symbol('fastify-hub.upgrades')
const kNoWebSocket = Symbol('fastify-hub.no-websocket')

interface RouteMarks { [kUpgrades]?: Upgrades, [kNoWebSocket]?: true }

/** What a test may bring along. */
export interface HubInternals { clock?: Clock }

/** Makes the plugin. */
export function createPlugin ({ clock = systemClock }: HubInternals = {}): FastifyPluginAsync<HubOptions> {
  return async function fastifyHub (app, given) {
    const capacity = connectionCapacity(openFileLimit())
    const options = resolveOptions(given, Math.min(MAX_DEFAULT_CONNECTIONS, capacity))
    const { decorateAs, limits, deadlines } = options
    if (limits.connections === 0 || limits.connections > capacity) {
      app.log.warn({ connections: limits.connections, capacity }, 'limits.connections is more than the open-file limit allows: beyond it the system resets connections')
    }
    if (app.hasDecorator(decorateAs)) throw new FST_HUB_DUPLICATE_NAME(decorateAs)

    await provideWebSocketServer(app, { websocket: options.websocket, maxMessageBytes: limits.maxMessageBytes, closeTimeout: deadlines.close })
    limitSlowHandshakes(app)

    const hub = createHub(app, options, clock)
    const upgrades = new Upgrades(hub, options, compileOrigins<FastifyRequest>(options.origins))
    app.decorate(decorateAs, hub)
    addHandshakeHeaders(app, (request) => upgrades.headerLines(request))
    const { own, websockets } = guardRoutes(app, options, upgrades)
    addRoutes(app, options, upgrades, own)
    const gate = UpgradeGate.of(app.server)
    gate.join({
      claims: ({ url = '' }) => options.guardUpgrades || websockets.matches(url),
      drain: async () => {
        const drained = hub.drain()
        upgrades.drain()
        await drained
      }
    })

    app.addHook('onReady', async () => { await hub.start() })
    app.addHook('preClose', async () => {
      await gate.close()
      await closeOtherSockets(app.websocketServer, deadlines.close || DEFAULT_CLOSE)
    })
    app.addHook('onClose', async () => { await hub.stop() })
  }
}

function createHub (app: FastifyInstance, options: ResolvedOptions, clock: Clock): LocalHub {
  const { limits, queue, identify: _, ...rest } = options
  const { onConnect, onMessage, onDisconnect } = rest
  return new LocalHub({
    clock,
    log: app.log,
    queue,
    limits,
    drain: rest.drain,
    handlers: { onConnect, onMessage, onDisconnect },
    settings: {
      heartbeat: rest.heartbeat,
      deadlines: rest.deadlines,
      overflow: queue.overflow,
      maxPending: rest.inbound.maxPending,
      messages: rest.messages,
      rate: { ...limits, burstBytes: Math.max(limits.bytesPerSecond, limits.maxMessageBytes) }
    },
    directory: new MemoryDirectory(),
    presence: new MemoryPresence(),
    broker: (listener) => new MemoryBroker(new MemoryBus(clock), listener)
  })
}

/** Fastify leaves Node's 60 s and 30 s. Values that the user has set, and a server that listens already, stay as they are. */
function limitSlowHandshakes ({ server }: FastifyInstance): void {
  const http = server as typeof server & { connectionsCheckingInterval?: number }
  if (http.headersTimeout === NODE_HEADERS_TIMEOUT) http.headersTimeout = HEADERS_TIMEOUT
  if (http.connectionsCheckingInterval === NODE_CONNECTIONS_CHECK) http.connectionsCheckingInterval = CONNECTIONS_CHECK
}

/** Admission for the hub's routes, and answers for upgrades and methods that have no route. @returns the hub's paths, and all with a WebSocket */
function guardRoutes (app: FastifyInstance, { guardUpgrades }: ResolvedOptions, upgrades: Upgrades): { own: PathMatcher, websockets: PathMatcher } {
  const own = new PathMatcher(app)
  const websockets = new PathMatcher(app)
  app.addHook('onRoute', (route) => {
    if (isWebSocketRoute(route)) websockets.add(route.url)
    else route.config = mark(route.config, { [kNoWebSocket]: true })
  })
  app.addHook('onRequest', (request, reply, done) => {
    if (request.ws) {
      const marks = request.routeOptions.config as RouteMarks | undefined
      if (marks?.[kUpgrades] === upgrades) return upgrades.admit(request, reply, done)
      if (guardUpgrades && marks?.[kNoWebSocket] === true) return refuse(request, reply, new FST_HUB_UPGRADE_REQUIRED('this route has no WebSocket'), done)
    }
    if (request.is404 && request.method !== 'GET' && own.matches(request.url)) return refuse(request, reply, new FST_HUB_METHOD_NOT_ALLOWED(request.method), done)
    done()
  })
  return { own, websockets }
}

/** A copy: several routes may share one config object. */
function mark (config: FastifyContextConfig | undefined, marks: RouteMarks): FastifyContextConfig {
  return { ...config, ...marks }
}

function isWebSocketRoute (route: RouteOptions & { websocket?: boolean }): boolean {
  return route.websocket === true || route.wsHandler !== undefined
}

function addRoutes (app: FastifyInstance, { paths, route }: ResolvedOptions, upgrades: Upgrades, own: PathMatcher): void {
  const { config, preHandler = [], ...rest } = route
  for (const path of paths) {
    app.route({
      ...rest,
      method: 'GET',
      url: path,
      websocket: true,
      exposeHeadRoute: false,
      config: mark(config as FastifyContextConfig | undefined, { [kUpgrades]: upgrades }),
      // The hook of the instance costs an ordinary request of the app nothing: a plain GET of this route is answered here.
      onRequest: (request, reply, done) => {
        if (request.ws) done()
        else upgrades.admit(request, reply, done)
      },
      preHandler: [...Array.isArray(preHandler) ? preHandler : [preHandler], async (request, reply) => await upgrades.identify(request, reply)],
      // Answers undefined: a promise would keep request and reply alive as long as the socket.
      handler: (ws, request) => {
        takeOver(app, ws)
        upgrades.complete(ws, request)
      }
    })
    own.add(app.prefix + path)
  }
}

/**
 * The plugin: `app.register(fastifyHub, options)` decorates the instance with a Hub and adds its WebSocket route.
 * @throws FST_HUB_INVALID_OPTIONS, FST_HUB_DUPLICATE_NAME (register rejects)
 */
export const fastifyHub: FastifyPluginAsync<HubOptions> = fp(createPlugin(), { fastify: '5.x', name: 'fastify-hub' })
