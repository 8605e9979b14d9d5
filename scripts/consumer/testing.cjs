// The same from CommonJS: the hub that connect is given is of the one package, however that was loaded.
const assert = require('node:assert/strict')
const Fastify = require('fastify')
const fastifyHub = require('fastify-hub')
const { connect } = require('fastify-hub/testing')

async function main () {
  const app = Fastify()
  app.register(fastifyHub, { onMessage: (connection, message) => { connection.send(message) } })
  await app.ready()
  const peer = await connect(app.hub)
  peer.send('hello')
  assert.equal((await peer.next()).text(), 'hello')
  await app.close()
  assert.deepEqual(await peer.closed, { code: 1012, reason: 'service restart' })
}

main()
