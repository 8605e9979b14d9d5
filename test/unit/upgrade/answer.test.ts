import Fastify, { type FastifyReply } from 'fastify'
import t from 'tap'
import { watchAnswer } from '../../../lib/upgrade/answer.js'

/** What a hook of an app finds out about its reply. */
async function within (look: (reply: FastifyReply) => void): Promise<unknown> {
  const app = Fastify()
  app.get('/', (_request, reply) => {
    look(reply)
    if (!reply.sent) reply.send('late')
    else if (!reply.raw.headersSent) reply.raw.end('hijacked')
  })
  const { payload } = await app.inject('/')
  await app.close()
  return payload
}

t.test('an answer begins with send, at once', async (t) => {
  t.equal(await within((reply) => {
    const answer = watchAnswer(reply)
    t.equal(answer.begun, false)
    t.equal(reply.send({ ok: true }), reply)
    t.equal(answer.begun, true)
  }), '{"ok":true}')
})

t.test('and with hijack', async (t) => {
  t.equal(await within((reply) => {
    const answer = watchAnswer(reply)
    t.equal(reply.hijack(), reply)
    t.equal(answer.begun, true)
  }), 'hijacked')
})

t.test('what another plugin has put in the place of send is still called', async (t) => {
  const sent: unknown[] = []
  t.equal(await within((reply) => {
    const send = reply.send.bind(reply)
    reply.send = (payload) => {
      sent.push(payload)
      return send(payload)
    }
    watchAnswer(reply)
  }), 'late')
  t.same(sent, ['late'])
})

t.test('one that began before it was watched', async (t) => {
  await within((reply) => {
    reply.send('early')
    t.equal(watchAnswer(reply).begun, reply.sent)
  })
})

t.test('watching twice is watching once', async (t) => {
  t.equal(await within((reply) => {
    const answer = watchAnswer(reply)
    t.equal(watchAnswer(reply), answer)
  }), 'late')
})
