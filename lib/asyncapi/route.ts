import type { FastifyInstance, FastifySchema } from 'fastify'
import type { EventRegistry } from '../core/hub-v1/events.js'
import type { ResolvedOptions } from '../options.js'
import { asyncApiDocument, type AsyncApiDocument } from './document.js'

/**
 * Serves the AsyncAPI document of a hub, where `asyncapi.path` is set: below the prefix of `app`, and behind its hooks.
 * It is made when it is asked for, and again when events have been defined since.
 */
export function serveAsyncApi (app: FastifyInstance, { asyncapi, paths, subprotocols, history }: ResolvedOptions, events: EventRegistry): void {
  const { path, title, version } = asyncapi
  if (path === undefined) return
  const prefix = app.prefix.replace(/\/$/, '')
  // @fastify/swagger leaves the route out of its own document.
  const schema: FastifySchema & { hide: true } = { hide: true }
  let document: AsyncApiDocument | undefined
  let size = 0
  app.get(path, { schema }, ({ host, protocol }) => {
    if (document === undefined || size !== events.size) {
      document = asyncApiDocument({ title, version, paths: paths.map((path) => prefix + path), subprotocols, events: events.all(), history })
      size = events.size
    }
    const { asyncapi, info, ...rest } = document
    // As the client has named it: HTTP/1.0 need not.
    const servers = host === '' ? undefined : { this: { host, protocol: protocol === 'https' ? 'wss' : 'ws' } }
    return { asyncapi, info, servers, ...rest }
  })
}
