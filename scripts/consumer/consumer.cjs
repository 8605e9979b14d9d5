// The same from CommonJS: require() of an ES module works from Node 20.19 on.
const Fastify = require('fastify')
const fastifyHub = require('fastify-hub')

const app = Fastify()
app.register(fastifyHub, {
  onMessage: (connection, message) => { connection.send(`from Ada: ${message.text()}`) },
  onDisconnect: () => { app.close() }
})
app.listen({ host: '127.0.0.1', port: 0 }).then((address) => { console.log(address) })
