import Fastify, { type FastifyServerOptions } from 'fastify'
import t from 'tap'
import { PathMatcher } from '../../../lib/upgrade/path-matcher.js'

function matcher (patterns: string[], options?: FastifyServerOptions): (url: string) => boolean {
  const paths = new PathMatcher(Fastify(options))
  for (const pattern of patterns) paths.add(pattern)
  return (url) => paths.matches(url)
}

t.test('static, with parameters, with wildcards', (t) => {
  const matches = matcher(['/ws', '/rooms/:room', '/all/*', '/files/:name.:ext', '/num/:id(^\\d+$)'])
  for (const url of ['/ws', '/ws?token=1', '/ws#x', '/rooms/a', '/rooms/%C3%A4?x', '/all/', '/all/a/b', '/files/a.txt', '/num/12', '/%77s']) t.equal(matches(url), true, url)
  for (const url of ['/', '', '/ws/', '/WS', '/wss', '/rooms', '/rooms/a/b', '/num/x', '/ws%2f', '//ws']) t.equal(matches(url), false, url)
  t.end()
})

t.test('a malformed URL is not ours', (t) => {
  const matches = matcher(['/ws', '/rooms/:room', '/all/*'])
  for (const url of ['/rooms/%zz', '/%', '/all/%E0%A4%A', '*', '\0']) t.equal(matches(url), false, url)
  t.equal(matches('http://any.example/ws'), true, "the absolute form is matched by its path, as Fastify's router does")
  t.end()
})

t.test("it follows the app's router", (t) => {
  const loose = matcher(['/ws'], { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true } })
  for (const url of ['/WS', '/ws/', '//ws']) t.equal(loose(url), true, url)
  const unsafe = matcher(['/x/:id((a+)+)'], { routerOptions: { allowUnsafeRegex: true } })
  t.equal(unsafe('/x/aaa'), true)
  const semicolon = matcher(['/ws'], { routerOptions: { useSemicolonDelimiter: true } } as FastifyServerOptions)
  t.equal(semicolon('/ws;a=1'), true)
  t.equal(loose('/ws;a=1'), false)
  const long = (matches: (url: string) => boolean): boolean => matches(`/rooms/${'x'.repeat(150)}`)
  t.equal(long(matcher(['/rooms/:room'])), false)
  t.equal(long(matcher(['/rooms/:room'], { routerOptions: { maxParamLength: 200 } })), true)
  t.end()
})

// Fastify warns of it, and takes them until its next major version.
t.test('options of the router that are given to Fastify itself count, too', (t) => {
  const loose = matcher(['/ws'], { caseSensitive: false, ignoreTrailingSlash: true })
  for (const url of ['/WS', '/ws/']) t.equal(loose(url), true, url)
  t.end()
})

t.test('the same path twice, as under two constraints, is one', (t) => {
  const matches = matcher(['/ws', '/ws', '/:a', '/:a'])
  t.equal(matches('/ws'), true)
  t.end()
})
