// How someone who installed the package tests an application: test-pack.js compiles and runs it, which fails when an assertion does.
import assert from 'node:assert/strict'
import Fastify from 'fastify'
import fastifyHub, { type Clock, type HubOptions, type Message } from 'fastify-hub'
import { connect, TestClock, type ConnectOptions, type TestPeer } from 'fastify-hub/testing'

const clock = new TestClock()
const time: Clock = clock
const options: HubOptions = { clock: time, onMessage: (connection, message) => { connection.send(`from ${connection.user ?? 'nobody'}: ${message.text()}`) } }
const app = Fastify()
await app.register(fastifyHub, options)
await app.ready()

const who: ConnectOptions = { user: 'ada' }
const peer: TestPeer = await connect(app.hub, who)
peer.send('hello')
const answer: Message = await peer.next()
assert.equal(answer.text(), 'from ada: hello')

peer.vanish()
await clock.advance(60_100)
assert.deepEqual(await peer.closed, { code: 1006, reason: '' })
assert.equal(app.hub.size, 0)
await app.close()
assert.equal(clock.timers, 0)
