import type { Hub } from '../lib/core/types.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The hub of fastify-hub, under its default name. With `decorateAs`, use `getDecorator<Hub>(name)`. */
    hub: Hub
  }
}
