import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { LocalHub } from '../../lib/core/hub.js'
import fastifyHub from '../../lib/index.js'

/** Rooms that it lets in, and that are something else in many a program. */
export const ROOMS: readonly string[] = ['lobby', 'cached', 'none', '__proto__', 'constructor', 'toString', '\n', '💥']
/** Events that it has. */
export const EVENTS: readonly string[] = ['echo', 'strict', 'late', 'refuse']

class Refused extends Error { statusCode = 422 }

const HANDLERS: Record<string, (data: unknown) => unknown> = {
  echo: (data) => data ?? null,
  late: async (data) => {
    await setImmediate()
    return data ?? null
  },
  refuse: () => { throw new Refused('no') }
}

/** A server that says yes to most things, so that what it is offered comes far; that takes any number of bad messages, at any rate. */
export async function startGarbageServer (): Promise<{ app: FastifyInstance, hub: LocalHub, url: string }> {
  const app = Fastify()
  await app.register(fastifyHub, {
    subprotocols: ['hub.v1.json', 'hub.v1.msgpack'],
    identify: () => ({ user: 'mallory' }),
    authorize: { join: (_, room) => ROOMS.includes(room), publish: (_, room) => ROOMS.includes(room) },
    refresh: (_, data) => data === null ? null : { user: 'mallory' },
    history: { size: 50, rooms: { cached: { size: 50, mode: 'cache' }, none: { size: 0 } } },
    presence: { interval: 50 },
    resume: { ttl: 1_000 },
    limits: { violations: 0, messagesPerSecond: 0, bytesPerSecond: 0 },
    drain: { spread: 0, timeout: 5_000 }
  })
  for (const name of EVENTS) {
    if (name !== 'strict') app.hub.event(name, { handler: (_, data) => HANDLERS[name]?.(data) })
  }
  app.hub.event('strict', { schema: { data: Type.Object({ text: Type.String() }), reply: Type.Object({ length: Type.Number() }) }, handler: (_, { text }) => ({ length: text.length }) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, hub: app.hub as LocalHub, url: `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws` }
}

/** What is to be as it was when all clients have gone. */
export function remains (hub: LocalHub): Record<string, number> {
  return { connections: hub.size, rooms: hub.rooms.size, sessions: hub.hubV1.sessions.size, timers: hub.wheel.size, held: hub.admission.held, queuedBytes: hub.counters.queuedBytes }
}
