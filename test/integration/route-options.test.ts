import Fastify from 'fastify'
import t from 'tap'
import fastifyHub from '../../lib/index.js'
import { captureLogs } from '../helpers/app.js'
import { connectWs, listen } from '../helpers/ws-client.js'

t.test('schema: the query string is validated before identify', async (t) => {
  let asked = 0
  const app = Fastify()
  await app.register(fastifyHub, {
    route: { schema: { querystring: { type: 'object', required: ['room'], properties: { room: { type: 'integer' } } } } },
    identify: ({ query }) => {
      asked++
      return { data: query as object }
    },
    onConnect: (connection) => { connection.send(connection.data) }
  })
  const address = await listen(t, app)
  await t.rejects(connectWs(t, `ws://${address}/ws`), /400/)
  await t.rejects(connectWs(t, `ws://${address}/ws?room=x`), /400/)
  t.equal(asked, 0)
  t.equal(await (await connectWs(t, `ws://${address}/ws?room=7`)).text(), '{"room":7}', 'and coerced')
})

t.test('preValidation and preHandler run in order, before identify', async (t) => {
  for (const asList of [false, true]) {
    const order: string[] = []
    const app = Fastify()
    await app.register(fastifyHub, {
      route: {
        preValidation: async () => { order.push('preValidation') },
        preHandler: asList
          ? [async () => { order.push('preHandler') }, (_request, _reply, done) => { order.push('another'); done() }]
          : async () => { order.push('preHandler') }
      },
      identify: () => {
        order.push('identify')
        return {}
      }
    })
    const address = await listen(t, app)
    await connectWs(t, `ws://${address}/ws`)
    t.same(order, ['preValidation', 'preHandler', ...asList ? ['another'] : [], 'identify'])
  }
})

t.test('a hook that refuses, or answers by itself', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, {
    route: {
      preHandler: async ({ query }, reply) => {
        const { how } = query as { how?: string }
        if (how === 'throw') throw Object.assign(new Error('no'), { statusCode: 402 })
        if (how === 'send') return await reply.code(418).send('teapot')
        return undefined
      }
    }
  })
  const address = await listen(t, app)
  await t.rejects(connectWs(t, `ws://${address}/ws?how=throw`), /402/)
  await t.rejects(connectWs(t, `ws://${address}/ws?how=send`), /418/)
  await connectWs(t, `ws://${address}/ws`)
  t.equal(app.hub.size, 1)
})

t.test('config reaches the hooks', async (t) => {
  const app = Fastify()
  const config = { audience: 'staff' }
  let seen: unknown
  await app.register(fastifyHub, { route: { config }, identify: ({ routeOptions }) => { seen = (routeOptions.config as unknown as typeof config).audience; return {} } })
  await connectWs(t, `ws://${await listen(t, app)}/ws`)
  t.equal(seen, 'staff')
  t.same(Reflect.ownKeys(config), ['audience'], "the user's object is not changed")
})

t.test('constraints: two hubs on one path, told apart by host', async (t) => {
  const app = Fastify()
  for (const name of ['a', 'b']) {
    await app.register(fastifyHub, { decorateAs: name, route: { constraints: { host: `${name}.test` } }, onConnect: (connection) => { connection.send(name) } })
  }
  const address = await listen(t, app)
  for (const name of ['a', 'b']) {
    t.equal(await (await connectWs(t, `ws://${address}/ws`, [], { headers: { Host: `${name}.test` } })).text(), name)
  }
  await t.rejects(connectWs(t, `ws://${address}/ws`, [], { headers: { Host: 'c.test' } }), /404/)
})

t.test('logLevel is that of the route', async (t) => {
  const { lines, options } = captureLogs()
  const app = Fastify({ logger: options })
  await app.register(fastifyHub, { route: { logLevel: 'error' }, identify: () => null })
  await t.rejects(connectWs(t, `ws://${await listen(t, app)}/ws`), /403/)
  t.same(lines.filter(({ msg }) => !msg.startsWith('Server listening')), [])
})
