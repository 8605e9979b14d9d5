import t from 'tap'
import { SessionTokens } from '../../../../lib/core/hub-v1/session-token.js'

t.test('a token is good for its user, under its secret', async (t) => {
  const tokens = new SessionTokens('a secret of at least 32 characters')
  for (const user of ['ada', null, '', 'a.b', 'ü 😀']) {
    const token = tokens.sign('id', user)
    t.equal(tokens.verify(token, user), 'id')
    t.equal(tokens.verify(token, 'eve'), null)
    t.equal(new SessionTokens('a secret of at least 32 characters').verify(token, user), 'id', 'of another process with the same secret')
    t.equal(new SessionTokens('another secret of so many characters').verify(token, user), null)
    t.equal(new SessionTokens(undefined).verify(token, user), null)
  }
  t.equal(tokens.verify(tokens.sign('id', null), 'null'), null)
})

t.test('what is no token is none', async (t) => {
  const tokens = new SessionTokens(undefined)
  const good = tokens.sign('id', 'ada')
  for (const token of ['', '.', 'id', 'id.', `x${good}`, good.slice(0, -1), `${good}AA`, `.${good}`, '💥.💥']) t.equal(tokens.verify(token, 'ada'), null, token)
})
