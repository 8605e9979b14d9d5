/*
 * Ordinary routes that push to WebSockets: to everybody, and to each connection of one user.
 *
 *   npm run build && npm run build:examples
 *   node build/examples/notify-from-route.js                       # PORT=3001 for another port
 *
 * Listen as ada, in a second terminal (any WebSocket client will do):
 *
 *   node --input-type=module -e "
 *     import WebSocket from 'ws'
 *     const socket = new WebSocket('ws://127.0.0.1:3000/ws?user=ada')
 *     socket.on('message', (data) => console.log(String(data)))
 *     socket.on('close', (code, reason) => console.log(code, String(reason)))"
 *
 * Push, in a third one:
 *
 *   curl -s http://127.0.0.1:3000/announce -H 'content-type: application/json' -d '{"text":"Tea is ready"}'
 *     {"sent":1,"queued":0,"rejected":0}
 *   curl -s http://127.0.0.1:3000/users/ada/notify -H 'content-type: application/json' -d '{"text":"Your parcel is here"}'
 *     {"delivered":1}
 *   curl -s http://127.0.0.1:3000/users/bob/notify -H 'content-type: application/json' -d '{"text":"Hello?"}'
 *     {"statusCode":404,"error":"Not Found","message":"bob is not connected"}
 */
import Fastify from 'fastify'
import fastifyHub from 'fastify-hub'

const app = Fastify({ logger: true })

const id = { type: 'string', minLength: 1, maxLength: 60 }
const body = {
  type: 'object',
  required: ['text'],
  additionalProperties: false,
  properties: { text: { type: 'string', minLength: 1, maxLength: 500 } }
}

await app.register(fastifyHub, {
  path: '/ws',
  // Here a query parameter, so that it can be tried out. In earnest: a session or a token, checked before the 101.
  identify: ({ query }) => query as { user: string },
  // The route is one of Fastify's: a handshake without a valid user gets 400.
  route: { schema: { querystring: { type: 'object', required: ['user'], additionalProperties: false, properties: { user: id } } } }
})

// Whoever may call these routes may write to your users: in earnest they need an authentication hook.
app.post<{ Body: { text: string } }>('/announce', { schema: { body } }, async (request) => {
  const { sent, queued, rejected } = await request.server.hub.broadcast({ type: 'announcement', text: request.body.text })
  return { sent, queued, rejected }
})

app.post<{ Params: { id: string }, Body: { text: string } }>('/users/:id/notify', { schema: { body, params: { type: 'object', properties: { id } } } }, async (request, reply) => {
  const { params: { id: user }, body: { text } } = request
  const { delivered } = await request.server.hub.user(user).send({ type: 'notification', text })
  if (delivered > 0) return { delivered }
  return await reply.code(404).send({ statusCode: 404, error: 'Not Found', message: `${user} is not connected` })
})

await app.listen({ host: process.env['HOST'] || '127.0.0.1', port: Number(process.env['PORT'] || 3000) })

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => { app.close().catch((error: unknown) => { app.log.error(error) }) })
}
